package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteUnits are what people write behind a number of bytes. Without an i they
// are powers of ten.
var byteUnits = []struct {
	name   string
	factor float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"t", 1e12}, {"b", 1}, {"", 1},
}

// byteSize is a flag such as 2GiB, 500MB or 1.5g; 0 stands for no bound.
type byteSize int64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Set(s string) error {
	text := strings.ToLower(strings.TrimSpace(s))
	text = strings.TrimSuffix(text, "/s")
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(x) || x < 0 || x*u.factor > math.MaxInt64/2 {
			break
		}
		*b = byteSize(x * u.factor)
		return nil
	}
	return fmt.Errorf("want a number of bytes such as 2GiB, 500MB or 1000000")
}

// hotSize is a byteSize or "auto".
type hotSize struct {
	byteSize
	auto bool
}

func (h *hotSize) String() string {
	if h.auto {
		return "auto"
	}
	return h.byteSize.String()
}

func (h *hotSize) Set(s string) error {
	if h.auto = strings.EqualFold(strings.TrimSpace(s), "auto"); h.auto {
		return nil
	}
	return h.byteSize.Set(s)
}

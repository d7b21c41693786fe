package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseMemory reads an amount of memory: 2GiB, 1.5GB, 500MB, 64kB or bytes.
func parseMemory(s string) (int64, error) {
	number, unit := s, ""
	if i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }); i >= 0 {
		number, unit = s[:i], strings.TrimSpace(s[i:])
	}
	scale, ok := map[string]float64{"": 1, "b": 1, "k": 1e3, "kb": 1e3, "kib": 1 << 10, "m": 1e6, "mb": 1e6, "mib": 1 << 20,
		"g": 1e9, "gb": 1e9, "gib": 1 << 30, "t": 1e12, "tb": 1e12, "tib": 1 << 40}[strings.ToLower(unit)]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || n*scale < 1 || n*scale > math.MaxInt64/2 {
		return 0, fmt.Errorf("%.40q: want an amount such as 2GiB or 500MB", s)
	}
	return int64(n * scale), nil
}

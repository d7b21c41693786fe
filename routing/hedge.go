package routing

import (
	"fmt"
	"time"
)

// Hedge says when a call that its peer has not answered is duplicated at the
// next best holder. Above 0 it is that time; the zero value is [HedgeAuto].
type Hedge time.Duration

const (
	// HedgeAuto duplicates after the p95 of the peer asked: one call in twenty
	// then, which is what the budget allows, and those that gain most by it.
	HedgeAuto Hedge = 0
	// HedgeOff duplicates nothing.
	HedgeOff Hedge = -1
)

// ParseHedge reads "off", "auto" or a duration such as "20ms".
func ParseHedge(s string) (Hedge, error) {
	switch s {
	case "off":
		return HedgeOff, nil
	case "auto":
		return HedgeAuto, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return HedgeAuto, fmt.Errorf("hedge %q: want off, auto or a duration such as 20ms", s)
	}
	return Hedge(d), nil
}

func (h Hedge) String() string {
	switch {
	case h < 0:
		return "off"
	case h == HedgeAuto:
		return "auto"
	}
	return time.Duration(h).String()
}

// after is when an attempt with this p95 is duplicated, of whose time the share
// busy is spent at its peer rather than on the way. Where processors are what is
// short, a duplicate at p95 would only add to the load that made it late.
func (h Hedge) after(p95 time.Duration, busy float64) time.Duration {
	switch {
	case h > 0:
		return time.Duration(h)
	case busy > busyMost:
		p95 *= busyPatience
	}
	return max(p95, hedgeLeast)
}

// tokens is the bucket that duplicates are paid from: every call placed earns the
// share, every call duplicated costs one. It starts empty, so that duplicates
// never exceed the share of the calls placed, from the first call on.
type tokens struct {
	left float64
}

func (b *tokens) earn(calls int, share float64) {
	b.left = min(b.left+float64(calls)*share, budgetMost)
}

// pay takes the price of duplicating so many calls, if it is there.
func (b *tokens) pay(calls int) bool {
	if b.left < float64(calls) {
		return false
	}
	b.left -= float64(calls)
	return true
}

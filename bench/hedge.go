package bench

import "github.com/moeswarm/moeswarm/routing"

// duplicateBudget is the share of calls that may be duplicated.
const duplicateBudget = 0.05

// hedging lists the modes to measure.
func hedging() []string { return []string{"off", "auto"} }

// hedged gives the policy of a mode.
func hedged(p routing.Policy, mode string) routing.Policy {
	p.Hedge = routing.HedgeAuto
	if mode == "off" {
		p.Hedge = routing.HedgeOff
	}
	return p
}

// duplicates is how many calls were sent a second time before the first had
// failed.
func duplicates(t routing.Totals) int { return t.HedgedCalls }

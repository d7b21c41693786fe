package bench

import "github.com/moeswarm/moeswarm/routing"

// duplicateBudget is the share of calls that may be duplicated.
const duplicateBudget = 0.05

// hedging lists the modes to measure. A router that cannot duplicate late
// attempts has one.
func hedging() []string { return []string{"off"} }

// hedged gives the policy of a mode.
func hedged(p routing.Policy, mode string) routing.Policy { return p }

// duplicates is how many calls were sent a second time before the first had
// failed.
func duplicates(t routing.Totals) int { return 0 }

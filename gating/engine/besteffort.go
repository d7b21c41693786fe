package engine

import "github.com/moeswarm/moeswarm/gating"

// bestEffort gives the rows of a step the shares that their requests allow to
// be left out; nil when all are exact, as they nearly always are.
func bestEffort(in []member) *gating.BestEffort {
	var shares []float32
	lenient := false
	for _, m := range in {
		lenient = lenient || m.share > 0
		for range m.rows {
			shares = append(shares, m.share)
		}
	}
	if !lenient {
		return nil
	}
	return &gating.BestEffort{Share: shares}
}

// noteDropped adds what a step left out to its sequences.
func noteDropped(in []member, b *gating.BestEffort) {
	if b == nil {
		return
	}
	row := 0
	for _, m := range in {
		for range m.rows {
			if row < len(b.Dropped) {
				m.dropped.Calls += b.Dropped[row].Calls
				m.dropped.Mass += b.Dropped[row].Mass
			}
			row++
		}
	}
}

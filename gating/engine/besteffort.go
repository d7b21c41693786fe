package engine

import "github.com/moeswarm/moeswarm/gating"

// bestEffort gives the rows of a step the shares that their requests allow to
// be left out; nil when all are exact, as they nearly always are.
func bestEffort(in []member) *gating.BestEffort {
	var shares []float32
	lenient := false
	for _, m := range in {
		lenient = lenient || m.share > 0
		for range m.rows + len(m.draft) {
			shares = append(shares, m.share)
		}
	}
	if !lenient {
		return nil
	}
	return &gating.BestEffort{Share: shares}
}

// noteDropped adds what a step left out of a sequence's rows from one to
// before another. Rows of a draft that was wrong are in no answer, so nor is
// what they went without.
func noteDropped(m member, b *gating.BestEffort, from, to int) {
	if b == nil {
		return
	}
	for row := m.row + from; row < min(m.row+to, len(b.Dropped)); row++ {
		m.inexact = m.inexact || b.Dropped[row].Calls > 0
		m.dropped.Calls += b.Dropped[row].Calls
		m.dropped.Mass += b.Dropped[row].Mass
	}
}

package expert

import (
	"cmp"
	"slices"
)

// Shares splits the experts into n shares of nearly equal size: the largest
// and the smallest differ by at most one expert. In each layer a share is one
// run of indices, so that every layer's work is spread over all holders. With
// more shares than experts some are empty.
func (m *Manifest) Shares(n int) [][]Slot {
	if n < 1 {
		return nil
	}
	shares := make([][]Slot, n)
	bytes := make([]int64, n)
	for i, layer := range m.Shape.SparseLayers {
		pieces := m.Experts[i*m.Shape.Experts : (i+1)*m.Shape.Experts]
		next := 0
		for s, count := range evenCounts(len(pieces), bytes) {
			for range count {
				shares[s] = append(shares[s], Slot{Layer: layer, Index: next})
				bytes[s] += pieces[next].Size
				next++
			}
		}
	}
	return shares
}

// evenCounts shares out experts evenly; those left over go to the shares that
// have the fewest bytes so far.
func evenCounts(experts int, bytes []int64) []int {
	counts := make([]int, len(bytes))
	poorest := upTo(len(bytes))
	slices.SortStableFunc(poorest, func(a, b int) int { return cmp.Compare(bytes[a], bytes[b]) })
	for i := range counts {
		counts[i] = experts / len(counts)
	}
	for _, s := range poorest[:experts%len(counts)] {
		counts[s]++
	}
	return counts
}

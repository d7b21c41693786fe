package node

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// TestHotBudget: an eighth of the memory, where that is worth fetching for.
func TestHotBudget(t *testing.T) {
	m := &expert.Manifest{Experts: make([]expert.Piece, 10)}
	for i := range m.Experts {
		m.Experts[i].Size = 100
	}
	for total, want := range map[int64]int64{0: 0, 3999: 0, 4000: 500, 6000: 750, 8000: 1000, 1 << 40: 1000} {
		if got := hotBudget(total, m); got != want {
			t.Errorf("of %d bytes: %d, want %d", total, got, want)
		}
	}
}

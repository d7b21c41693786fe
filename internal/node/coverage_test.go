package node

import (
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/swarm"
)

// TestMissing: what is missing is said by ranges, with what would mend it.
func TestMissing(t *testing.T) {
	m := Model{Name: "tiny", Model: tiny(t)}
	n := &Node{}
	c := swarm.Coverage{Known: true, Experts: 16, Held: 11, Missing: []swarm.LayerExperts{
		{Layer: 0, Experts: []int{4, 5, 6}}, {Layer: 1, Experts: []int{7}},
	}}
	lines := n.missing(m, c)
	if len(lines) != 2 || !strings.Contains(lines[0], "layer 0: experts 4-6 have no holder; a node with 383 kB to spare fixes it") ||
		!strings.Contains(lines[1], "layer 1: expert 7 has no holder") {
		t.Errorf("%q", lines)
	}
	c.Missing = []swarm.LayerExperts{{Layer: 0, Experts: []int{1}}, {Layer: 1, Experts: []int{1}}}
	if lines := n.missing(m, c); len(lines) != 1 || !strings.Contains(lines[0], "layers 0-1: expert 1 have no holder") {
		t.Errorf("%q", lines)
	}
	if lines := n.missing(m, swarm.Coverage{Known: true}); len(lines) != 0 {
		t.Errorf("%q", lines)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{1: "1 kB", 2_000_001: "3 MB", 12_000_000_000: "12 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

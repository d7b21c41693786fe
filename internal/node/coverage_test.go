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

func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		lacks shortfall
		want  string
	}{
		{shortfall{experts: 64}, ""},
		{shortfall{experts: 64, missing: 1, missingBytes: 3_000_000}, "1 of 64 experts has no holder; to answer: one more node with 3 MB to spare"},
		{shortfall{experts: 64, missing: 12, missingBytes: 13 << 30, spare: 4 << 30}, "12 of 64 experts have no holder; to answer: 14 GB more, such as 4 nodes with 4.3 GB each"},
		{shortfall{experts: 64, missing: 12, missingBytes: 3 << 30}, "12 of 64 experts have no holder; to answer: 3.3 GB more, such as 2 nodes with 2.2 GB each"},
		{shortfall{experts: 64, missing: 12}, "12 of 64 experts have no holder"},
		{shortfall{experts: 64, lone: 30, loneBytes: 1 << 30}, "30 of 64 experts have one holder only; for any one node to be free to go: one more node with 1074 MB to spare"},
		{shortfall{experts: 64, lone: 1, missing: 2}, "2 of 64 experts have no holder"},
	} {
		if got := advice(c.lacks); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.lacks, got, c.want)
		}
	}
}

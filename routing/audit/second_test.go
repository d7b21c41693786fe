package audit

import (
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/routing"
)

// TestStrangersAreAsked: the second holder is no neighbour of the first, unless all
// are.
func TestStrangersAreAsked(t *testing.T) {
	kin := func(p routing.Peer) bool { return p[0] == 'a' }
	for _, c := range []struct {
		holders, want []routing.Peer
		kin           func(routing.Peer) bool
	}{
		{[]routing.Peer{"a1", "a2", "b1", "c1"}, []routing.Peer{"b1", "c1"}, kin},
		{[]routing.Peer{"a1", "a2", "a3"}, []routing.Peer{"a2", "a3"}, kin},
		{[]routing.Peer{"a1", "a2", "b1"}, []routing.Peer{"a2", "b1"}, nil},
		{[]routing.Peer{"a1"}, nil, kin},
	} {
		o := others{not: "a1", kin: c.kin}
		if got := o.strangers(c.holders); !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, want %v", c.holders, got, c.want)
		}
	}
}

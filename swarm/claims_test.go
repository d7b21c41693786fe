package swarm

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// TestPauses: a paused node's experts have no holder for its peers, its calls
// are refused without blame, and it is back when it says so.
func TestPauses(t *testing.T) {
	holder := startNode(t, Config{Serve: zeros{}, Completer: mute{}, Offers: []Offer{holds(0, 1, 2, 3)}})
	gate := startNode(t, Config{Offers: []Offer{gates()}, Completer: mute{}, Join: holder.Addrs()})
	gate.await("all experts", gate.covered)
	in := expert.NewBatch(1, 4)
	ask := routing.Ask{In: in, Calls: []expert.Call{{Expert: experts(3)[0], Rows: []int32{0}}}}

	holder.SetPaused(true)
	gate.await("the pause", func() bool { return gate.Coverage(testModel()).Held == 0 })
	_, err := gate.Call(t.Context(), holder.ID(), ask)
	if !errors.Is(err, expert.ErrOverloaded) {
		t.Errorf("a call to a paused node: %v, want a refusal without blame", err)
	}
	for _, err := range gate.Remote(holder.ID()).Complete(t.Context(), prompt.Request{Model: testModel(), MaxTokens: 1}) {
		if !errors.Is(err, prompt.ErrBusy) {
			t.Errorf("a prompt for a paused node: %v", err)
		}
	}
	if c := gate.Claims(testModel()); len(c) != 1 || !c[0].Paused || len(c[0].Held) != len(experts(0, 1, 2, 3)) {
		t.Errorf("claims: %+v", c)
	}
	holder.SetPaused(false)
	gate.await("the end of the pause", gate.covered)
	if _, err := gate.Call(t.Context(), holder.ID(), ask); err != nil {
		t.Errorf("a call afterwards: %v", err)
	}
}

// TestIntentions: a newcomer that holds nothing yet is heard of with what it
// gives and what it is about to fetch, and a gating node with what it measured.
func TestIntentions(t *testing.T) {
	hot := experts(2)[0]
	gate := startNode(t, Config{Completer: mute{}, Offers: []Offer{func() Offer {
		o := gates()
		o.Demand = func() map[expert.ID]float64 { return map[expert.ID]float64{hot: 4} }
		return o
	}()}})
	o := holds()
	o.Memory, o.Wanted = 3<<30, experts(1)
	comer := startNode(t, Config{Serve: zeros{}, Offers: []Offer{o}, Join: gate.Addrs()})
	gate.await("the intention", func() bool {
		c := gate.Claims(testModel())
		return len(c) == 1 && c[0].Memory == 3<<30 && slices.Equal(c[0].Wanted, expert.SlotsOf(experts(1))) && len(c[0].Held) == 0
	})
	comer.await("demand", func() bool {
		c := comer.Claims(testModel())
		return len(c) == 1 && c[0].Demand[expert.SlotsOf([]expert.ID{hot})[0]] == 4
	})
	slots := func(index ...int) []expert.Slot {
		s := expert.SlotsOf(experts(index...))
		slices.SortFunc(s, func(a, b expert.Slot) int { return cmp.Or(a.Layer-b.Layer, a.Index-b.Index) })
		return s
	}
	o.Wanted, o.Held = experts(0), experts(0, 1) // 0 is to be handed over
	if err := comer.SetOffer(o); err != nil {
		t.Fatal(err)
	}
	gate.await("what it holds", func() bool {
		c := gate.Claims(testModel())
		return len(c) == 1 && slices.Equal(c[0].Wanted, expert.SlotsOf(experts(0))) && slices.Equal(c[0].Held, slots(0, 1))
	})
}

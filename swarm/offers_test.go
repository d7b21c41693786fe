package swarm

import (
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// TestOffersChange: a node that runs is heard of as it takes more experts,
// gives some up, and withdraws.
func TestOffersChange(t *testing.T) {
	holder := startNode(t, Config{Serve: zeros{}})
	gate := startNode(t, Config{Offers: []Offer{gates()}, Completer: mute{}, Join: holder.Addrs()})
	offer := func(o Offer) {
		t.Helper()
		if err := holder.SetOffer(o); err != nil {
			t.Fatal(err)
		}
	}
	offer(holds(0, 1))
	gate.await("half of the experts", func() bool { return gate.Coverage(testModel()).Held == 6 })
	offer(holds(0, 1, 2, 3))
	gate.await("all experts", gate.covered)
	if len(holder.Offers()) != 1 {
		t.Errorf("offers: %v", holder.Offers())
	}

	in := expert.NewBatch(1, 4)
	ask := routing.Ask{In: in, Calls: []expert.Call{{Expert: experts(3)[0], Rows: []int32{0}}}}
	if _, err := gate.Call(t.Context(), holder.ID(), ask); err != nil {
		t.Error(err)
	}
	offer(holds(0))
	if _, err := gate.Call(t.Context(), holder.ID(), ask); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("an expert given up was asked for: %v", err)
	}
	gate.await("fewer experts", func() bool { return gate.Coverage(testModel()).Held == 3 })

	offer(Offer{Model: testModel(), Name: "test", Layers: testLayers})
	gate.await("nothing", func() bool { return gate.Coverage(testModel()).Held == 0 && len(gate.Holders(experts(0)[0])) == 0 })
	if len(holder.Offers()) != 0 {
		t.Errorf("offers: %v", holder.Offers())
	}
	offer(holds(2))
	gate.await("back again", func() bool { return gate.Coverage(testModel()).Held == 3 })
}

// TestOfferRefused: what cannot be served is not offered.
func TestOfferRefused(t *testing.T) {
	n, err := New(Config{Serve: zeros{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.SetOffer(gates()); err == nil {
		t.Error("a node without a completer gates")
	}
	for i := range maxPeerModels {
		o := holds(0)
		o.Model, o.Held = expert.ModelID{byte(i)}, nil
		if err := n.SetOffer(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.SetOffer(holds(0)); err == nil {
		t.Error("more models than a node may serve")
	}
}

package swarm

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// A node that serves nothing brings together a gating node and holders that
// know only it, and itself learns which models there are.
func TestStrangersMeetThroughAThird(t *testing.T) {
	middle := startNode(t, Config{})
	gate := newTestNode(t, Config{Join: middle.Addrs(), Offers: []Offer{gates()}})
	provided := make(chan struct{}, 1)
	gate.hooks.provided = func() { signal(provided) }
	gate.start()
	<-provided
	startNode(t, Config{Join: middle.Addrs(), Offers: []Offer{holds(0, 1)}})
	startNode(t, Config{Join: middle.Addrs(), Offers: []Offer{holds(2, 3)}})
	gate.await("coverage at the gating node", gate.covered)

	entry := startNode(t, Config{Join: middle.Addrs()})
	found, err := entry.FindGates(t.Context(), testModel())
	if err != nil || !slices.Equal(found, []routing.Peer{gate.ID()}) {
		t.Fatalf("FindGates: %v, %v", found, err)
	}
	entry.await("the model", func() bool {
		m := entry.Models()
		return len(m) == 1 && m[0].Model == testModel() && m[0].Name == "test" && m[0].Gates == 1
	})
	entry.await("coverage at a node that holds nothing", entry.covered)
}

func TestFindGatesInVain(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{holds(1)}})
	b := startNode(t, Config{Join: a.Addrs()})
	if got, err := b.FindGates(t.Context(), testModel()); !errors.Is(err, prompt.ErrNoGate) {
		t.Errorf("got %v, %v; want %v", got, err, prompt.ErrNoGate)
	}
}

// A holder that is known by its provider records alone.
func TestHolderFoundByProviderRecord(t *testing.T) {
	middle := startNode(t, Config{})
	holder := newStranger(t)
	holder.connect(middle)
	looked := make(chan expert.ID, 100)
	gate := newTestNode(t, Config{Join: middle.Addrs(), Offers: []Offer{gates()}})
	gate.hooks.lookedUp = func(id expert.ID) { looked <- id }
	gate.start()
	<-gate.Ready()

	provide := func(id expert.ID) {
		t.Helper()
		// Only the hash table's own word tells when it can be used.
		for holder.dht.RoutingTable().Size() == 0 {
			<-holder.dht.RefreshRoutingTable()
		}
		if err := holder.dht.Provide(t.Context(), expertKey(id), true); err != nil {
			t.Fatal(err)
		}
	}
	ids := experts(0, 1)
	provide(ids[0])
	gate.await("a hash table", func() bool { return gate.live.Load().dht.RoutingTable().Size() > 0 })
	gate.LookUp(ids)
	gate.LookUp(ids) // again at once: nothing is asked twice
	gate.await("the holder", func() bool { return slices.Equal(gate.Holders(ids[0]), []routing.Peer{holder.id()}) })
	for range ids {
		<-looked
	}
	select {
	case id := <-looked:
		t.Errorf("%v was looked up twice", id)
	default:
	}
	for _, id := range ids[1:] {
		if got := gate.Holders(id); len(got) != 0 {
			t.Errorf("%v: holders %v", id, got)
		}
	}
	// It holds nothing in truth: the first call shows, and is remembered.
	in := expert.NewBatch(1, 4)
	_, err := gate.Call(t.Context(), holder.id(), routing.Ask{In: in, Calls: []expert.Call{{Expert: ids[0], Rows: []int32{0}}}})
	if !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("a call to a peer without the protocol: %v", err)
	}
}

// A holder refuses what it does not hold, and is not named for it any more.
func TestRefusedExpertIsForgotten(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}})
	b := startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(0)}})
	id := experts(3)[0]
	a.await("what b holds", func() bool { return len(a.Holders(experts(0)[0])) == 1 })
	ask := routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: experts(0)[0], Rows: []int32{0}}}}
	answer, err := a.Call(t.Context(), b.ID(), ask)
	if err != nil || len(answer.Results) != 1 {
		t.Fatalf("%+v, %v", answer, err)
	}
	if got := b.Served()[a.ID()]; got.Calls != 1 {
		t.Errorf("served %+v", got)
	}
	ask.Calls[0].Expert = id
	if _, err := a.Call(t.Context(), b.ID(), ask); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("error %v, want %v", err, expert.ErrUnknownExpert)
	}
}

// A peer that is known by its gossip alone; its hostile messages leave no
// trace.
func TestGossipAlone(t *testing.T) {
	a := startNode(t, Config{})
	b := startNode(t, Config{Join: a.Addrs()})
	far := newStranger(t)
	far.connect(a)
	if err := far.gossip.listen(far.ctx, modelsTopic); err != nil {
		t.Fatal(err)
	}
	send := newAnnouncer(func() []Offer { return []Offer{gates()} }, far.gossip.log, far.gossip.now)
	// Messages that no honest node writes, then a good one.
	topic := far.gossip.mu.topics[modelsTopic]
	ready := pubsub.WithReadiness(pubsub.MinTopicSize(1))
	bad := announcementOf(Offer{Model: expert.ModelID{0xbb}, Name: "bad", Layers: testLayers}, far.gossip.now().Add(announceTTL), 0)
	for _, data := range [][]byte{nil, []byte("nonsense"), mustEncode(t, bad), mustEncode(t, brief(bad))[:30]} {
		// Our own validator would refuse them as well; leave it out.
		_ = far.gossip.pubsub.UnregisterTopicValidator(modelsTopic)
		if err := topic.Publish(t.Context(), data, ready); err != nil {
			t.Fatal(err)
		}
	}
	// Gossip may be lost while peers still learn of each other's topics, so an
	// author repeats itself; here once a second instead of every ten.
	said := time.Time{}
	for _, n := range []*testNode{a, b} {
		n.await("the author's model", func() bool {
			if now := time.Now(); now.Sub(said) > time.Second {
				said = now
				if err := topic.Publish(t.Context(), send.messages(false)[0].short, ready); err != nil {
					t.Fatal(err)
				}
			}
			return slices.ContainsFunc(n.Peers(), func(p PeerView) bool { return p.Peer == far.id() && len(p.Models) == 1 })
		})
		n.dir.read(func(h *holdings) {
			if h.models[bad.Model] != nil || len(h.models) != 1 {
				t.Errorf("%d models in the table", len(h.models))
			}
		})
	}
}

func mustEncode(t *testing.T, a wire.Announcement) []byte {
	t.Helper()
	b, err := encode(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIdentityLasts(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte("the same seed, and so the same id"[:ed25519.SeedSize]))
	a := startNode(t, Config{Key: key})
	a.stop()
	b := startNode(t, Config{Key: key})
	if a.ID() != b.ID() {
		t.Errorf("id %v after a restart, was %v", b.ID(), a.ID())
	}
	if c := startNode(t, Config{}); c.ID() == a.ID() {
		t.Error("a node with a key of its own has the same id")
	}
}

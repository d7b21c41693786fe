package swarm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// A peer that is connected but does nothing any more, as a machine that lost
// power looks for a while, is found out by the first call that fails.
func TestDeadPeerIsFoundOut(t *testing.T) {
	n := startNode(t, Config{Offers: []Offer{gates()}})
	dead := newStranger(t)
	dead.host.SetStreamHandler(ping.ID, func(s network.Stream) { _ = s.Reset() })
	dead.connect(n)
	if err := dead.hello(n, mustEncode(t, announcementOf(holds(1), time.Now().Add(announceTTL), 0))); err != nil {
		t.Fatal(err)
	}
	// It takes no new connections either and opens none, as its part of the hash table
	// would, so the one that is closed stays so.
	if err := dead.dht.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range dead.host.Network().ListenAddresses() {
		dead.host.Network().(*libp2pswarm.Swarm).ListenClose(a)
	}
	id := experts(1)[0]
	if got := n.Holders(id); !slices.Equal(got, []routing.Peer{dead.id()}) {
		t.Fatalf("holders %v", got)
	}
	ask := routing.Ask{In: expert.NewBatch(1, 4), Calls: []expert.Call{{Expert: id, Rows: []int32{0}}}}
	if _, err := n.Call(t.Context(), dead.id(), ask); !errors.Is(err, expert.ErrUnreachable) {
		t.Fatalf("error %v, want %v", err, expert.ErrUnreachable)
	}
	n.await("the dead peer is not named", func() bool { return len(n.Holders(id)) == 0 })
	n.await("the connection is closed", func() bool {
		p := n.Peers()
		return len(p) == 1 && !p[0].Connected
	})
}

// refusing is a Completer that gates nothing.
type refusing struct{}

func (refusing) Complete(context.Context, prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		yield(prompt.Chunk{}, fmt.Errorf("%w: none at all", prompt.ErrUnknownModel))
	}
}

func TestGateThatRefusesIsForgotten(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}, Completer: refusing{}})
	b := startNode(t, Config{Join: a.Addrs()})
	if len(b.Gates(testModel())) != 1 {
		t.Fatal("no gate")
	}
	r := prompt.Request{Model: testModel(), Text: "x", MaxTokens: 1}
	for _, err := range b.Remote(a.ID()).Complete(t.Context(), r) {
		if !errors.Is(err, prompt.ErrUnknownModel) {
			t.Errorf("error %v, want %v", err, prompt.ErrUnknownModel)
		}
	}
	if got := b.Gates(testModel()); len(got) != 0 {
		t.Errorf("gates %v", got)
	}
	b.stop()
	for _, err := range b.Remote(a.ID()).Complete(t.Context(), r) {
		if !errors.Is(err, prompt.ErrLost) {
			t.Errorf("from a node that stopped: error %v, want %v", err, prompt.ErrLost)
		}
	}
}

// Gating nodes come nearest first, those not measured last, then by id.
func TestGatesInOrder(t *testing.T) {
	n := startNode(t, Config{})
	var want []routing.Peer
	for _, rtt := range []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 0, 0} {
		s := newStranger(t)
		s.host.SetStreamHandler(ping.ID, func(s network.Stream) { _ = s.Reset() }) // we say how far it is
		s.connect(n)
		if rtt > 0 {
			n.live.Load().pinger.record(s.host.ID(), rtt)
		}
		if err := s.hello(n, mustEncode(t, announcementOf(gates(), time.Now().Add(announceTTL), 0))); err != nil {
			t.Fatal(err)
		}
		want = append(want, s.id())
	}
	slices.Sort(want[2:])
	want[0], want[1] = want[1], want[0]
	if got := n.Gates(testModel()); !slices.Equal(got, want) {
		t.Errorf("gates %v, want %v", got, want)
	}
}

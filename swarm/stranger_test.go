package swarm

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// stranger is a peer that speaks the protocols one by one, as a test wants,
// and is otherwise silent: it never says hello.
type stranger struct {
	t      *testing.T
	ctx    context.Context
	host   host.Host
	dht    *dht.IpfsDHT
	gossip *gossip
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHost(key, &reacher{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &stranger{t: t, ctx: ctx, host: h}
	s.dht, err = newDHT(ctx, h, newRecordStore(h.ID(), h.Peerstore(), time.Now), func() {})
	if err != nil {
		t.Fatal(err)
	}
	s.gossip = newGossip(h.ID(), newTestNode(t, Config{}).log, time.Now)
	s.gossip.heard, s.gossip.joined = func(peer.ID, wire.Announcement) {}, func() {}
	if err := s.gossip.start(ctx, h); err != nil {
		t.Fatal(err)
	}
	if err := listen(h, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.gossip.wait()
		s.dht.Close()
		h.Close()
	})
	return s
}

func (s *stranger) id() routing.Peer { return routingPeer(s.host.ID()) }

func (s *stranger) connect(n *testNode) {
	s.t.Helper()
	info, err := peer.AddrInfoFromString(n.Addrs()[0])
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.host.Connect(s.ctx, *info); err != nil {
		s.t.Fatal(err)
	}
}

// hello sends bytes on a hello stream and returns what the node makes of it:
// nil when it read them to the end.
func (s *stranger) hello(n *testNode, b []byte) error {
	s.t.Helper()
	g := &greeter{host: s.host}
	id, err := peerID(n.ID())
	if err != nil {
		s.t.Fatal(err)
	}
	return g.greet(s.ctx, id, b)
}

// stream opens a hello stream to a node.
func (s *stranger) stream(n *testNode) network.Stream { return s.open(n, helloProtocol) }

// open opens a stream to a node.
func (s *stranger) open(n *testNode, p protocol.ID) network.Stream {
	s.t.Helper()
	id, err := peerID(n.ID())
	if err != nil {
		s.t.Fatal(err)
	}
	st, err := s.host.NewStream(s.ctx, id, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

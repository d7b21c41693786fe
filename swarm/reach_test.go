package swarm

import (
	"context"
	"crypto/ed25519"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

func TestRelayedAddresses(t *testing.T) {
	const id = "12D3KooWRx7BYoLqh1zXsvYajPjG2WJsgdcp9jd1t36NyLdMXRV4"
	for addr, want := range map[string]bool{
		"/ip4/192.0.2.1/tcp/1/p2p/" + id + "/p2p-circuit":           true,
		"/ip6/2001:db8::1/udp/1/quic-v1/p2p/" + id + "/p2p-circuit": true,
		"/ip4/192.0.2.1/tcp/1/p2p/" + id:                            false,
		"/ip4/192.0.2.1/tcp/1":                                      false,
		"/dns4/example.org/tcp/1/p2p/" + id + "/p2p-circuit":        false,
		"/p2p/" + id + "/p2p-circuit":                               false,
		"/ip4/192.0.2.1/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + id: false, // of another peer
	} {
		if got := relayed(multiaddr.StringCast(addr)); got != want {
			t.Errorf("relayed(%s) = %v", addr, got)
		}
	}
}

// Only nodes with the key of a private swarm come in.
func TestPrivateSwarm(t *testing.T) {
	random := [32]byte{1, 2, 3}
	key, err := ParseSwarmKey(NewSwarmKey(random))
	if err != nil || string(key) != string(random[:]) {
		t.Fatalf("the key came back as %x: %v", key, err)
	}
	listen := []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}
	private := func(cfg Config, key []byte) Config {
		cfg.Listen, cfg.Reach.Key = listen, key
		return cfg
	}
	holder := startNode(t, private(Config{Offers: []Offer{holds(0)}}, key))
	for _, a := range holder.Addrs() {
		if strings.Contains(a, "quic") {
			t.Errorf("a private swarm has no QUIC, but listens on %s", a)
		}
	}
	if !holder.Reach().Private {
		t.Error("the node does not say that its swarm is private")
	}
	member := startNode(t, private(Config{Join: holder.Addrs(), Offers: []Offer{gates()}}, key))
	eventually(t, "the member knows the holder", func() bool { return len(member.Holders(experts(0)[0])) == 1 })

	info, err := peer.AddrInfoFromString(holder.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"none": nil, "another": make([]byte, 32)} {
		_, identity, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		h, err := newHost(identity, &reacher{Reach: Reach{Key: key}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testPatience)
		if err := h.Connect(ctx, *info); err == nil {
			t.Errorf("key %s: a stranger came in", name)
		}
		cancel()
		h.Close()
	}
}

func TestBadReach(t *testing.T) {
	for name, cfg := range map[string]Config{
		"short key":       {Reach: Reach{Key: []byte{1}}},
		"relay alone":     {Reach: Reach{Relay: true}},
		"private QUIC":    {Reach: Reach{Key: make([]byte, 32)}, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}},
		"nameless":        {Rendezvous: Rendezvous{Via: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWRx7BYoLqh1zXsvYajPjG2WJsgdcp9jd1t36NyLdMXRV4"}}},
		"bad rendezvous":  {Rendezvous: Rendezvous{Name: "x", Via: []string{"nonsense"}}},
		"unprintable one": {Rendezvous: Rendezvous{Name: "a\nb"}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseSwarmKey(f *testing.F) {
	f.Add(NewSwarmKey([32]byte{7}))
	f.Add([]byte("/key/swarm/psk/1.0.0/\n/base64/\nAAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := ParseSwarmKey(text); err == nil && len(key) != swarmKeyBytes {
			t.Errorf("a key of %d bytes", len(key))
		}
	})
}

// tableNode is a node of another network's hash table.
func tableNode(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	table, err := dht.New(context.WithoutCancel(t.Context()), h, dht.Mode(dht.ModeServer))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return h
}

// Two nodes that know nobody but a node of another network's hash table meet.
func TestRendezvous(t *testing.T) {
	foreign := tableNode(t)
	cfg := Config{
		Listen:     []string{"/ip4/127.0.0.1/tcp/0"},
		Rendezvous: Rendezvous{Name: "friends", Via: complete(foreign.ID(), foreign.Addrs())},
	}
	with := func(o Offer) Config {
		c := cfg
		c.Offers = []Offer{o}
		return c
	}
	holder := startNode(t, with(holds(0)))
	eventually(t, "the holder's record", func() bool { return len(foreign.Network().Peers()) > 0 })
	gate := startNode(t, with(gates()))
	eventually(t, "the two know each other", func() bool {
		return len(gate.Holders(experts(0)[0])) == 1 && len(holder.Gates(testModel())) == 1
	})
	for _, p := range gate.Peers() {
		if p.Peer == routingPeer(foreign.ID()) {
			t.Error("the foreign table's node became a peer in the swarm")
		}
	}
}

// A call to a holder that is connected through a relay alone goes through it,
// and the holder's way is told.
func TestCallThroughRelay(t *testing.T) {
	middle, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.EnableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { middle.Close() })
	limits := relay.DefaultResources()
	limits.Limit = &relay.RelayLimit{Duration: relayTime, Data: relayData}
	service, err := relay.New(middle, relay.WithResources(limits),
		relay.WithReservationAddressFilter(func(multiaddr.Multiaddr) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })

	holder := newTestNode(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Offers: []Offer{holds(0)}})
	holder.hooks.host = []libp2p.Option{libp2p.EnableRelay()}
	holder.start()
	<-holder.Ready()
	inside := holder.live.Load().host
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	if err := inside.Connect(ctx, peer.AddrInfo{ID: middle.ID(), Addrs: middle.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(ctx, inside, peer.AddrInfo{ID: middle.ID()}); err != nil {
		t.Fatal(err)
	}

	gate := newTestNode(t, Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Offers: []Offer{gates()},
		Join: []string{middle.Addrs()[0].String() + "/p2p/" + middle.ID().String() + "/p2p-circuit/p2p/" + inside.ID().String()}})
	gate.hooks.host = []libp2p.Option{libp2p.EnableRelay()}
	gate.start()
	id := experts(0)[0]
	eventually(t, "the holder", func() bool { return len(gate.Holders(id)) == 1 })
	ask := routing.Ask{In: expert.NewBatch(1, 8), Calls: []expert.Call{{Expert: id, Rows: []int32{0}}}}
	if _, err := gate.Call(ctx, holder.ID(), ask); err != nil {
		t.Fatal(err)
	}
	for _, p := range gate.Peers() {
		if p.Peer == holder.ID() && p.Way != WayRelay {
			t.Errorf("the holder's way is %q, want %q", p.Way, WayRelay)
		}
	}
	if !gate.Relayed(holder.ID()) || gate.Relayed(gate.ID()) || gate.Relayed("nobody") {
		t.Error("the router is not told that the holder is behind a relay")
	}
	// The router expects more of such a peer until it has measured it.
	r, err := routing.New(routing.Config{Directory: gate, Caller: gate, Relayed: gate.Relayed, Policy: routing.Policy{Seed: 1}})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Duration(0)
	r2, err := routing.New(routing.Config{Directory: gate, Caller: tooBusy{}, Relayed: gate.Relayed, Policy: routing.Policy{Seed: 1, MissingWait: -1}})
	if err != nil {
		t.Fatal(err)
	}
	_ = r2.Apply(ctx, ask.In, ask.Calls)
	for _, p := range r2.Peers() {
		before = p.Expected
	}
	if got := r.Apply(ctx, ask.In, ask.Calls); got[0].Err != nil {
		t.Fatal(got[0].Err)
	}
	if after := r.Peers()[0].Expected; before < 150*time.Millisecond || after > before/2 {
		t.Errorf("expected %v before the first answer and %v after", before, after)
	}
	// When a direct way is found later, calls take it.
	outer := gate.live.Load().host
	direct := network.WithForceDirectDial(ctx, "a hole was punched")
	var own []multiaddr.Multiaddr
	for _, a := range inside.Addrs() {
		if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err != nil {
			own = append(own, a)
		}
	}
	if err := outer.Connect(direct, peer.AddrInfo{ID: inside.ID(), Addrs: own}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls over the direct connection", func() bool {
		if _, err := gate.Call(ctx, holder.ID(), ask); err != nil {
			t.Fatal(err)
		}
		limited := true
		for _, l := range gate.live.Load().services.caller.all() {
			if s := l.stream.Load(); s != nil {
				limited = (*s).Conn().Stat().Limited
			}
		}
		return !limited
	})
}

// A stream to a peer behind a relay takes the direct connection once there is
// one.
func TestStreamPrefersDirect(t *testing.T) {
	a, b := tableNode(t), tableNode(t)
	b.SetStreamHandler("/echo", func(s network.Stream) { _, _ = io.Copy(s, s); s.Close() })
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := openStream(ctx, a, b.ID(), "/echo")
	if err != nil || s.Conn().Stat().Limited {
		t.Fatalf("limited %v, %v", err == nil && s.Conn().Stat().Limited, err)
	}
	if !linked(a, b.ID()) || wayTo(a, b.ID()) != WayDirect {
		t.Errorf("way %q", wayTo(a, b.ID()))
	}
}

// tooBusy is a Caller whose peers have no time.
type tooBusy struct{}

func (tooBusy) Call(context.Context, routing.Peer, routing.Ask) (routing.Answer, error) {
	return routing.Answer{}, expert.ErrOverloaded
}

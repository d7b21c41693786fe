package swarm

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Connections. A gating node of a large model talks to a few hundred holders
// all the time, so the watermarks are above libp2p's (160 and 192). Above the
// high one the connections of least use are closed until the low one is met.
const (
	connsLow   = 256
	connsHigh  = 384
	connsGrace = 30 * time.Second // a new connection's time to become useful
	// connsMost is where new connections are refused.
	connsMost = 1024
	// connsPerIP lets a room of machines behind one address in; libp2p's
	// default of 8 does not.
	connsPerIP = 64
	// helloStreams bounds a peer's hello streams that are open at once. One
	// is enough for a peer that waits for each to end.
	helloStreams = 8
)

// agent is how nodes of this program name themselves to peers.
const agent = "moeswarm"

// newHost returns a libp2p host that does not listen yet. Closing it is the
// caller's duty. Further options come last and win.
func newHost(key ed25519.PrivateKey, reach *reacher, further ...libp2p.Option) (host.Host, error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("the node's key: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, err
	}
	resources, err := newResourceManager()
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(identity),
		libp2p.NoListenAddrs, // later, one by one, so that each failure is told
		libp2p.Transport(tcp.NewTCPTransport),
		// TLS first: where the processor has AES a long answer takes two thirds of
		// the time that it takes with Noise's cipher.
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		// Nodes tell each other whether they can be reached from outside, by
		// dialling back the address that a connection came from.
		libp2p.EnableNATService(),
		libp2p.DisableMetrics(),
		libp2p.UserAgent(agent),
		libp2p.ProtocolVersion(agent + "/1"),
	}
	if reach.Key == nil {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	options = append(options, reach.options()...)
	h, err := libp2p.New(append(options, further...)...)
	if err != nil {
		return nil, err
	}
	reach.host.Store(&h)
	return h, nil
}

// announceOnly makes a host tell others these addresses instead of those it
// listens on.
func announceOnly(addrs []multiaddr.Multiaddr) libp2p.Option {
	return libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return slices.Clone(addrs) })
}

// newResourceManager widens libp2p's limits, which scale with the machine's
// memory, where a swarm needs more, and narrows them for hello streams.
func newResourceManager() (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	custom := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{Conns: connsMost, ConnsInbound: connsMost * 3 / 4, ConnsOutbound: connsMost * 3 / 4},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{
			helloProtocol: {Streams: 2 * helloStreams, StreamsInbound: helloStreams, StreamsOutbound: helloStreams},
		},
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(custom.Build(limits.AutoScale())),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerIP}, {PrefixLength: 48, ConnCount: 4 * connsPerIP}},
		),
	)
}

// listen opens every address, or says which one it could not.
func listen(h host.Host, addrs []multiaddr.Multiaddr) error {
	for _, a := range addrs {
		err := probe(a)
		if err == nil {
			err = h.Network().Listen(a)
		}
		if err != nil {
			return fmt.Errorf("cannot listen on %v: %w (is another program on that port? port 0 picks a free one)", a, err)
		}
	}
	return nil
}

// probe finds out whether a TCP port is free. libp2p shares ports, so that
// it can dial from them; two nodes on one port would take turns in getting
// each other's peers.
func probe(a multiaddr.Multiaddr) error {
	if _, err := a.ValueForProtocol(multiaddr.P_TCP); err != nil {
		return nil
	}
	l, err := manet.Listen(a)
	if err != nil {
		return err
	}
	return l.Close()
}

// spoken reports whether a is an address of a kind this node speaks, an IP
// address with TCP or QUIC and nothing else.
func spoken(a multiaddr.Multiaddr) bool {
	var codes []int
	for _, p := range a.Protocols() {
		codes = append(codes, p.Code)
	}
	if len(codes) < 2 || codes[0] != multiaddr.P_IP4 && codes[0] != multiaddr.P_IP6 {
		return false
	}
	return slices.Equal(codes[1:], []int{multiaddr.P_TCP}) ||
		slices.Equal(codes[1:], []int{multiaddr.P_UDP, multiaddr.P_QUIC_V1})
}

// reachableAddrs is the filter for addresses that go into the hash table or
// come out of it. Names and other transports are dropped: a stranger must not
// make us ask name servers. Loopback addresses are kept only where there is
// nothing else, as in a swarm on one machine.
func reachableAddrs(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var loopback, other []multiaddr.Multiaddr
	for _, a := range addrs {
		switch {
		case relayed(a):
			other = append(other, a)
		case !spoken(a):
		case manet.IsIPLoopback(a):
			loopback = append(loopback, a)
		default:
			other = append(other, a)
		}
	}
	if other == nil {
		return loopback
	}
	return other
}

// complete writes addresses with the peer's id at their end, fit for Join.
func complete(p peer.ID, addrs []multiaddr.Multiaddr) []string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String()+"/p2p/"+p.String())
	}
	return out
}

package swarm

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"
)

// Way is how a peer is connected to this node.
type Way string

const (
	WayNone   Way = ""       // it is not
	WayDirect Way = "direct" // without anybody in between
	WayRelay  Way = "relay"  // through a third node, within that node's limits
)

// ReachView is how this node can be reached, as far as it knows.
type ReachView struct {
	// Reachable is "public", "private" (nobody outside comes through unless by
	// a relay or a punched hole) or "unknown".
	Reachable string
	Traverses bool // it looks for ways through routers
	Private   bool // the swarm has a key
	// Router reports a router that opens ports on request (UPnP, NAT-PMP).
	Router bool
	Addrs  []AddrView
	// Relaying reports that this node passes others' connections on.
	Relaying               bool
	Punched, PunchesFailed int // relayed connections that became direct, or did not
}

// AddrView is one of this node's addresses.
type AddrView struct {
	Addr string // complete with /p2p/ID
	// State is "reachable" or "unreachable" as peers found by dialling it,
	// "relay" where it leads through one, or "untested".
	State string
}

// reachState is what peers found out about this node's addresses.
type reachState struct {
	mu          sync.Mutex
	reachable   network.Reachability
	good, wrong []multiaddr.Multiaddr
}

func (s *reachState) set(r network.Reachability) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reachable = r
}

func (s *reachState) setAddrs(e event.EvtHostReachableAddrsChanged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good, s.wrong = slices.Clone(e.Reachable), slices.Clone(e.Unreachable)
}

// addr tells the state of one address.
func (s *reachState) addr(a multiaddr.Multiaddr) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case relayed(a):
		return "relay"
	case slices.ContainsFunc(s.good, a.Equal):
		return "reachable"
	case slices.ContainsFunc(s.wrong, a.Equal):
		return "unreachable"
	}
	return "untested"
}

func (s *reachState) overall() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.good) > 0 || s.reachable == network.ReachabilityPublic:
		return "public"
	case s.reachable == network.ReachabilityPrivate:
		return "private"
	}
	return "unknown"
}

// Reach tells how this node can be reached.
func (n *Node) Reach() ReachView {
	v := ReachView{Reachable: "unknown", Traverses: n.reach.Traverse, Private: n.reach.Key != nil}
	l := n.live.Load()
	if l == nil {
		return v
	}
	r := l.reach
	v.Reachable = r.state.overall()
	v.Router = r.router != nil && r.router.HasDiscoveredNAT()
	v.Relaying = slices.Contains(l.host.Mux().Protocols(), circuit.ProtoIDv2Hop)
	v.Punched, v.PunchesFailed = int(r.punch.ok.Load()), int(r.punch.failed.Load())
	for _, a := range l.host.Addrs() {
		if spoken(a) || relayed(a) {
			v.Addrs = append(v.Addrs, AddrView{Addr: complete(n.id, []multiaddr.Multiaddr{a})[0], State: r.state.addr(a)})
		}
	}
	return v
}

// wayTo tells how p is connected: directly, if any of its connections is.
func wayTo(h host.Host, p peer.ID) Way {
	way := WayNone
	for _, c := range h.Network().ConnsToPeer(p) {
		if !c.Stat().Limited {
			return WayDirect
		}
		way = WayRelay
	}
	return way
}

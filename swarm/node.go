package swarm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Node is this process in the swarm. All methods may be used by several
// goroutines at once, before, during and after Run; what needs the network
// fails, or does nothing, while Run does not run.
type Node struct {
	settings
	id    peer.ID
	dir   *directory
	ready chan struct{}
	now   func() time.Time
	began atomic.Bool
	live  atomic.Pointer[live] // what exists while Run runs
	rests atomic.Bool          // see SetPaused
	hooks hooks
}

// hooks let tests see what happens inside and put another network under a
// node; each may be nil.
type hooks struct {
	provided func()          // a round of provider records went out
	lookedUp func(expert.ID) // a look-up of an expert is over
	host     []libp2p.Option // for the host, after its own
	// patience is how long a node that stops waits for its last answers to end and
	// to be read, instead of the times that users are promised.
	patience time.Duration
}

// New checks cfg and returns a node that does nothing until Run.
func New(cfg Config) (*Node, error) {
	s, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("swarm: the node's key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("swarm: the node's key: %w", err)
	}
	s.joinAt = slices.DeleteFunc(s.joinAt, func(p peer.AddrInfo) bool { return p.ID == id })
	return &Node{
		settings: s,
		id:       id,
		dir:      newDirectory(routingPeer(id), s.offers.now(), time.Now),
		ready:    make(chan struct{}),
		now:      time.Now,
	}, nil
}

// routingPeer and peerID translate between the two names of a peer.
func routingPeer(id peer.ID) routing.Peer { return routing.Peer(id.String()) }

func peerID(p routing.Peer) (peer.ID, error) {
	id, err := peer.Decode(string(p))
	if err != nil {
		return "", fmt.Errorf("peer %.80q: %w", string(p), err)
	}
	return id, nil
}

// ID is this node's name among peers. It lasts as long as the key.
func (n *Node) ID() routing.Peer { return routingPeer(n.id) }

// Ready is closed once the node listens and, if it has nodes to join, has
// heard from one of them or has waited long enough. It stays open when Run
// fails before that.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Addrs lists the addresses others can join this node at, complete with
// /p2p/ID; empty while Run does not run.
func (n *Node) Addrs() []string {
	l := n.live.Load()
	if l == nil {
		return nil
	}
	return complete(n.id, slices.DeleteFunc(l.host.Addrs(), func(a multiaddr.Multiaddr) bool { return !spoken(a) && !relayed(a) }))
}

// Changed returns a channel that is closed when next something changes in
// what this node knows of its peers. Take it before you look.
func (n *Node) Changed() <-chan struct{} { return n.dir.next() }

// Holders implements routing.Directory.
func (n *Node) Holders(id expert.ID) []routing.Peer { return n.dir.Holders(id) }

// Call implements routing.Caller.
func (n *Node) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	l := n.live.Load()
	if l == nil {
		return routing.Answer{}, errNotRunning
	}
	answer, err := l.services.caller.Call(ctx, to, a)
	if err != nil {
		n.learn(l, to, a, err)
	}
	return answer, err
}

// Start implements routing.Starter.
func (n *Node) Start(ctx context.Context, to routing.Peer, a routing.Ask, done func(func() (routing.Answer, error))) (stop func(error)) {
	l := n.live.Load()
	if l == nil {
		done(func() (routing.Answer, error) { return routing.Answer{}, errNotRunning })
		return func(error) {}
	}
	return l.services.caller.Start(ctx, to, a, func(read func() (routing.Answer, error)) {
		done(func() (routing.Answer, error) {
			answer, err := read()
			if err != nil {
				n.learn(l, to, a, err)
			}
			return answer, err
		})
	})
}

// Probe implements routing.Prober.
func (n *Node) Probe(ctx context.Context, to routing.Peer, payload int) (routing.Load, error) {
	l := n.live.Load()
	if l == nil {
		return routing.Load{}, errNotRunning
	}
	load, err := l.services.caller.Probe(ctx, to, payload)
	if err != nil {
		n.learn(l, to, routing.Ask{}, err)
	}
	return load, err
}

// errNotRunning: Run has not begun, or has ended.
var errNotRunning = fmt.Errorf("%w: this node is not running", expert.ErrUnreachable)

// Served tells what this node computed for each peer so far.
func (n *Node) Served() map[routing.Peer]Served {
	if l := n.live.Load(); l != nil && l.services.server != nil {
		return l.services.server.Served()
	}
	return nil
}

// LookUp asks the hash table who holds the experts, in the background. New
// holders appear in Holders. It does not block, and experts that were just
// asked for are not asked for again.
func (n *Node) LookUp(ids []expert.ID) {
	l := n.live.Load()
	if l == nil {
		return
	}
	for i, id := range ids {
		if i == 0 || id.Model != ids[i-1].Model {
			n.watch(l, id.Model)
		}
	}
	l.finder.lookUp(ids)
}

// Models lists the models that someone known serves, by name.
func (n *Node) Models() (out []ModelView) {
	n.dir.read(func(t *holdings) { out = t.modelViews() })
	return out
}

// Coverage says which experts of a model have no holder.
func (n *Node) Coverage(model expert.ModelID) (c Coverage) {
	if l := n.live.Load(); l != nil {
		n.watch(l, model)
	}
	n.dir.read(func(t *holdings) { c = t.coverage(model) })
	return c
}

// Peers lists the peers that are connected or serve something, by id.
func (n *Node) Peers() (out []PeerView) {
	n.dir.read(func(t *holdings) {
		for _, p := range t.known() {
			out = append(out, t.peerView(p))
		}
	})
	l := n.live.Load()
	for i := range out {
		if id, err := peerID(out[i].Peer); err == nil && l != nil {
			out[i].Addrs = complete(id, l.host.Peerstore().Addrs(id))
			out[i].RTT = l.pinger.rtt(id)
			out[i].Way = wayTo(l.host, id)
		}
	}
	return out
}

// Gates lists the known gating nodes of a model, this node left out: the
// nearest first by measured round trip, those not measured last, then by id.
func (n *Node) Gates(model expert.ModelID) (gates []routing.Peer) {
	n.dir.read(func(t *holdings) { gates = t.gates(model) })
	rtt := make(map[routing.Peer]time.Duration, len(gates))
	l := n.live.Load()
	for _, p := range gates {
		rtt[p] = 1<<63 - 1
		if id, err := peerID(p); err == nil && l != nil {
			if d := l.pinger.rtt(id); d > 0 {
				rtt[p] = d
			}
		}
	}
	slices.SortFunc(gates, func(a, b routing.Peer) int {
		return cmp.Or(cmp.Compare(rtt[a], rtt[b]), cmp.Compare(a, b))
	})
	return gates
}

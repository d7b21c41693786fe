package swarm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// What comes in from the parts of the network, on its way into the holdings.

// enoughGates is how many gating nodes of a model this node stays connected
// to, so that a prompt has somewhere to go when the nearest one is lost.
const enoughGates = 4

// valueTag and valueWeight keep connections to peers of use when there are
// too many: they count more than any bucket of the hash table does.
const (
	valueTag    = "moeswarm-serves"
	valueWeight = 50
)

// heard takes in an announcement, and connects to its author if this node
// has a use for it.
func (n *Node) heard(l *live, from peer.ID, a wire.Announcement) {
	var useful, valued bool
	p := routingPeer(from)
	err := n.dir.write(func(t *holdings, now time.Time) (bool, error) {
		changed, err := t.announce(p, noticeOf(a), now)
		valued = err == nil && !a.Leaving && (a.Gates || t.own[a.Model].Gates)
		useful = valued && t.useful(a)
		return changed, err
	})
	if err != nil {
		n.log.Debug("an announcement is left out", "peer", from, "err", err)
		return
	}
	if valued {
		l.host.ConnManager().TagPeer(from, valueTag, valueWeight)
	} else {
		l.host.ConnManager().UntagPeer(from, valueTag)
	}
	switch {
	case l.host.Network().Connectedness(from) == network.Connected:
		if l.pinger.rtt(from) == 0 {
			l.pinger.kick()
		}
	case useful:
		l.dialer.want(from)
	}
}

// useful reports whether the author of an announcement, a gating node or a
// peer for a model that this node gates, should be connected. Any holder
// should; of gating nodes a few are enough.
func (t *holdings) useful(a wire.Announcement) bool {
	if t.own[a.Model].Gates {
		return true
	}
	near := 0
	for _, p := range t.gates(a.Model) {
		if t.conns[p] {
			near++
		}
	}
	return near < enoughGates
}

// foundHolder takes in a provider record for an expert.
func (n *Node) foundHolder(p peer.ID, id expert.ID) {
	err := n.dir.write(func(t *holdings, now time.Time) (bool, error) {
		return t.found(routingPeer(p), id, now)
	})
	if err != nil {
		n.log.Debug("a holder is left out", "peer", p, "err", err)
	}
}

// foundGate takes in a provider record for a gating node.
func (n *Node) foundGate(p peer.ID, model expert.ModelID) {
	err := n.dir.write(func(t *holdings, now time.Time) (bool, error) {
		return t.foundGate(routingPeer(p), model, now)
	})
	if err != nil {
		n.log.Debug("a gating node is left out", "peer", p, "err", err)
	}
}

// unreachable takes in that a peer could not be reached.
func (n *Node) unreachable(p routing.Peer) {
	_ = n.dir.write(func(t *holdings, _ time.Time) (bool, error) { return t.unreachable(p), nil })
}

// learn corrects the holdings by what a failed call says.
func (n *Node) learn(l *live, to routing.Peer, a routing.Ask, failed error) {
	id, err := peerID(to)
	switch {
	case err != nil:
	case errors.Is(failed, expert.ErrUnknownExpert):
		ids := make([]expert.ID, len(a.Calls))
		for i, c := range a.Calls {
			ids[i] = c.Expert
		}
		_ = n.dir.write(func(t *holdings, _ time.Time) (bool, error) { return t.refused(to, ids), nil })
	case !errors.Is(failed, expert.ErrUnreachable):
	case l.host.Network().Connectedness(id) != network.Connected:
		n.unreachable(to)
	default:
		n.suspect(l, id)
	}
}

// suspect has a peer that failed us checked, unless that is being done.
func (n *Node) suspect(l *live, id peer.ID) {
	if l.suspects.begin(id) {
		l.work.run(func() {
			defer l.suspects.end(id)
			n.sound(l, id)
		})
	}
}

// sound finds out whether a peer that fails calls is there at all. One that
// does not answer a ping is disconnected, which marks it as lost at once; the
// system may take minutes to notice a machine without power.
func (n *Node) sound(l *live, id peer.ID) {
	ctx, cancel := context.WithTimeout(l.ctx, pingTimeout)
	defer cancel()
	if l.pinger.measure(ctx, id) || l.ctx.Err() != nil {
		return
	}
	n.log.Info("a peer does not answer any more", "peer", id)
	n.unreachable(routingPeer(id))
	_ = l.host.Network().ClosePeer(id)
}

// suspects lets each peer be under suspicion once at a time.
type suspects struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

// begin reports whether p is not being checked already; end must follow.
func (s *suspects) begin(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[p] {
		return false
	}
	if s.peers == nil {
		s.peers = make(map[peer.ID]bool)
	}
	s.peers[p] = true
	return true
}

func (s *suspects) end(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
}

package swarm

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// Claim is a peer's own word about one model, for who chooses what to hold.
type Claim struct {
	Peer              routing.Peer
	Gates             bool
	MayGate, WillGate bool // as in [Offer]
	Paused            bool
	Usable            bool  // false: lost, until it is heard of again
	Waiting           int   // frames that waited at it
	Prompts           int   // prompts that waited at it, if it gates
	Memory            int64 // bytes for experts that it chooses itself; 0: it does not choose
	Held              []expert.Slot
	// Wanted names experts that are about to change hands: one not held is
	// being fetched, one that is held should be taken over by others.
	Wanted []expert.Slot
	// Demand is what it measured, where it has; see [Offer.Demand].
	Demand map[expert.Slot]float64
}

// Claims lists what peers say of a model, by peer.
func (n *Node) Claims(model expert.ModelID) (out []Claim) {
	n.dir.read(func(t *holdings) {
		m := t.models[model]
		if m == nil {
			return
		}
		for p, c := range m.peers {
			if c.left {
				continue
			}
			out = append(out, Claim{Peer: p, Gates: c.gates, MayGate: c.mayGate, WillGate: c.willGate, Paused: c.paused, Usable: t.peers[p].usable, Waiting: c.waiting, Prompts: c.prompts,
				Memory: c.memory, Held: placesOf(c.held), Wanted: placesOf(c.wanted), Demand: demandOf(c)})
		}
	})
	slices.SortFunc(out, func(a, b Claim) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

func placesOf(slots []slot) []expert.Slot {
	out := make([]expert.Slot, len(slots))
	for i, s := range slots {
		out[i] = expert.Slot{Layer: s.layer(), Index: s.index()}
	}
	return out
}

func demandOf(c *claim) map[expert.Slot]float64 {
	if c.demand == nil || c.shape.experts == 0 || len(c.demand) != c.shape.layers*c.shape.experts {
		return nil
	}
	out := make(map[expert.Slot]float64)
	for i, code := range c.demand {
		if code != 0 {
			out[expert.Slot{Layer: i / c.shape.experts, Index: i % c.shape.experts}] = wire.DemandOf(code)
		}
	}
	return out
}

// errPaused: the owner wants the machine for himself.
var errPaused = fmt.Errorf("%w: this node is paused by its owner", expert.ErrOverloaded)

// SetPaused makes the node compute nothing for others, or do so again. Peers
// that are connected hear of it at once, others by gossip. Calls that are
// running end; those that come are refused as overloaded, without blame.
func (n *Node) SetPaused(paused bool) {
	if n.rests.Swap(paused) == paused {
		return
	}
	l := n.live.Load()
	if l == nil {
		return
	}
	l.announcer.changed()
	l.work.run(func() { l.announcer.tell(l.ctx, l.host.Network().Peers()) })
	_ = n.dir.write(func(*holdings, time.Time) (bool, error) { return true, nil })
}

// Paused reports whether the node was paused.
func (n *Node) Paused() bool { return n.rests.Load() }

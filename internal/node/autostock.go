package node

import (
	"context"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm"
)

// wholeStock chooses among the experts of a model whose file is at hand:
// nothing is fetched, the pages are read when they are asked for.
type wholeStock struct {
	node  *Node
	model Model
	set   *expert.Set

	mu sync.Mutex
}

func (s *wholeStock) held() []expert.Slot { return expert.SlotsOf(s.set.IDs()) }
func (s *wholeStock) rate() float64       { return 0 }

func (s *wholeStock) want(slots []expert.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := expert.IDsOf(s.model.Model.ID(), slots)
	gone := slices.DeleteFunc(slices.Clone(s.set.IDs()), func(id expert.ID) bool { return slices.Contains(ids, id) })
	if err := s.set.Hold(ids); err != nil {
		return err
	}
	if err := s.offer(ids); err != nil {
		return err
	}
	s.set.Drop(gone)
	return nil
}

func (s *wholeStock) offer(held []expert.ID) error {
	o := s.node.offerOf(s.model)
	o.Held, o.Gates = held, s.model.Gate || s.node.gatings[o.Model].on()
	return s.node.setOffer(o)
}

// setOffer says what is served of a model, less gating once the node leaves.
func (n *Node) setOffer(o swarm.Offer) error {
	o.Gates = o.Gates && !n.leaving.Load()
	return n.net.SetOffer(o)
}

// waitingPrompts is how many prompts wait for this node's engine of a model.
func (n *Node) waitingPrompts(id expert.ModelID) int {
	if e := n.gates.engine(id); e != nil {
		return e.Stats().Waiting
	}
	return 0
}

// offerAgain announces anew what is served of a model.
func (n *Node) offerAgain(id expert.ModelID) {
	if h := n.parts[id]; h != nil {
		h.offer(nil)
		return
	}
	p := n.placers[id]
	if p == nil {
		n.offerGate(n.gatings[id])
		return
	}
	if s, ok := p.stock.(*wholeStock); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.offer(s.set.IDs()); err != nil {
			n.cfg.Log.Error("an offer is not taken", "model", s.model.Name, "err", err)
		}
	}
}

// offerGate announces anew that experts are held as the owner said, and whether
// their model is gated.
func (n *Node) offerGate(g *gatingChoice) {
	if g == nil {
		return
	}
	o := n.offerOf(g.model)
	o.Held, o.Gates = expert.IDsOf(o.Model, g.model.Hold), g.on()
	if err := n.setOffer(o); err != nil {
		n.cfg.Log.Error("an offer is not taken", "model", o.Name, "err", err)
	}
}

// dress adds to an offer what a node says beside what it serves: what it
// measured, and what it is about to change.
func (n *Node) dress(o *swarm.Offer) {
	id := o.Model
	o.Demand = func() map[expert.ID]float64 { return n.demand.of(id) }
	o.Prompts = func() int { return n.waitingPrompts(id) }
	for _, m := range n.cfg.Models {
		if m.Auto && m.Model.ID() == id {
			o.Memory = m.Memory
		}
		if m.GateAuto && m.Model.ID() == id {
			o.MayGate, o.WillGate = true, n.gatings[id].announced()
		}
	}
	if p := n.placers[id]; p != nil {
		o.Wanted = expert.IDsOf(id, p.announced())
	}
}

// handOver lets others take what only this node does: experts that it alone
// holds, and gating. It returns when they have, or within handOverTime.
func (n *Node) handOver() {
	n.leaving.Store(true)
	var all sync.WaitGroup
	for _, p := range n.placers {
		all.Go(p.handOver)
	}
	for _, m := range n.cfg.Models {
		if m.mayGate() {
			all.Go(func() { n.handOverGating(m) })
		}
	}
	all.Wait()
}

// untilHandedOver is a context that ends when ctx has ended and the node has
// handed over what it can.
func (n *Node) untilHandedOver(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		n.handOver()
		cancel()
	})
	return later, func() {
		stop()
		cancel()
	}
}

// newPlacers makes those that choose experts, and whether to gate.
func (n *Node) newPlacers() error {
	for _, m := range n.cfg.Models {
		if m.GateAuto {
			g, err := newGatingChoice(n, m)
			if err != nil {
				return err
			}
			n.gatings[m.Model.ID()] = g
		}
		if !m.Auto {
			continue
		}
		id := m.Model.ID()
		var have stock = &wholeStock{node: n, model: m, set: n.sets[id]}
		if h := n.parts[id]; h != nil {
			have = h
		}
		p, err := newPlacer(n, m, have)
		if err != nil {
			return err
		}
		n.placers[id] = p
	}
	return nil
}

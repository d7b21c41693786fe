package swarm

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// offered is what this node serves, now. It changes while the node runs;
// whoever reads it gets one state, whole.
type offered struct {
	change sync.Mutex // held while a new state is made
	state  atomic.Pointer[offerState]
}

// offerState is constant once it is stored.
type offerState struct {
	offers []Offer // one a model; one that once served and does no more stays, so that its end is told
	held   map[expert.ID]bool
}

func newOffered(offers []Offer) *offered {
	o := &offered{}
	o.state.Store(newOfferState(offers))
	return o
}

func newOfferState(offers []Offer) *offerState {
	s := &offerState{offers: offers, held: make(map[expert.ID]bool)}
	for _, o := range offers {
		for _, id := range o.Held {
			s.held[id] = true
		}
	}
	return s
}

// now lists the offers. The slice is shared: read only.
func (o *offered) now() []Offer { return o.state.Load().offers }

// holds reports whether an expert is offered.
func (o *offered) holds(id expert.ID) bool { return o.state.Load().held[id] }

// set replaces the offer of a model, or adds it. shrunk reports that something
// is served no more.
func (o *offered) set(n Offer) (shrunk bool, err error) {
	old := o.state.Load()
	offers := slices.Clone(old.offers)
	i := slices.IndexFunc(offers, func(x Offer) bool { return x.Model == n.Model })
	switch {
	case i >= 0:
		was := offers[i]
		n.ended = (was.speaks() || was.ended) && !n.speaks()
		offers[i] = n
		shrunk = was.Gates && !n.Gates
	case len(offers) >= maxPeerModels:
		return false, fmt.Errorf("%d models offered; a node may serve %d", len(offers)+1, maxPeerModels)
	default:
		offers = append(offers, n)
	}
	state := newOfferState(offers)
	if i >= 0 {
		shrunk = shrunk || slices.ContainsFunc(old.offers[i].Held, func(id expert.ID) bool { return !state.held[id] })
	}
	o.state.Store(state)
	return shrunk, nil
}

// SetOffer replaces what this node serves of the offer's model, or adds the
// model, while the node runs or before. Peers hear of it within seconds, of
// experts that are gone at once. An offer without experts that does not gate
// withdraws the model. Config.Serve must already apply experts that are new,
// and should go on applying those that are gone for some seconds, until peers
// have heard.
func (n *Node) SetOffer(o Offer) error {
	if err := (Config{Serve: n.serve, Completer: n.completer}).checkOffer(o); err != nil {
		return fmt.Errorf("offer of model %s: %w", o.Model.Short(), err)
	}
	if _, err := offerKeys([]Offer{o}); err != nil {
		return err
	}
	n.offers.change.Lock()
	defer n.offers.change.Unlock()
	shrunk, err := n.offers.set(o)
	if err != nil {
		return err
	}
	l := n.live.Load()
	var known bool
	_ = n.dir.write(func(t *holdings, _ time.Time) (bool, error) {
		known = t.pinned[o.Model]
		t.own[o.Model], t.pinned[o.Model] = o, true
		return true, nil
	})
	if l == nil {
		return nil
	}
	if !known {
		l.work.run(func() { n.hear(l, modelTopic(o.Model)) })
	}
	l.announcer.changed()
	signal(l.provider.changed)
	if shrunk {
		l.work.run(func() { l.announcer.tell(l.ctx, l.host.Network().Peers()) })
	}
	return nil
}

// Offers lists what this node serves now. The slice is shared: read only.
func (n *Node) Offers() []Offer {
	return slices.DeleteFunc(slices.Clone(n.offers.now()), func(o Offer) bool { return !o.serves() })
}

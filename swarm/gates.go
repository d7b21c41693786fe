package swarm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// gatesGrace is how long FindGates waits for more gating nodes once it has
// reached one: a nearer one may be about to answer.
const gatesGrace = 300 * time.Millisecond

// FindGates asks the hash table for gating nodes of a model, connects to
// them, and returns what Gates then knows. The error wraps prompt.ErrNoGate
// when there is none.
func (n *Node) FindGates(ctx context.Context, model expert.ModelID) ([]routing.Peer, error) {
	l := n.live.Load()
	if l == nil {
		return nil, fmt.Errorf("%w: this node is not running", prompt.ErrNoGate)
	}
	n.watch(l, model)
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()

	reached := make(chan struct{}, 1)
	over := make(chan struct{})
	l.work.run(func() {
		defer close(over)
		var dials sync.WaitGroup
		l.finder.providers(ctx, gatesKey(model), wantGates, func(p peer.ID) {
			n.foundGate(p, model)
			dials.Go(func() {
				if l.dialer.connect(ctx, p) == nil {
					l.pinger.measure(ctx, p)
					signal(reached)
				}
			})
		})
		dials.Wait()
	})
	select {
	case <-over:
	case <-ctx.Done():
	case <-l.ctx.Done():
	case <-reached:
		grace := time.NewTimer(gatesGrace)
		defer grace.Stop()
		select {
		case <-over:
		case <-grace.C:
		case <-ctx.Done():
		}
	}
	if gates := n.Gates(model); len(gates) > 0 {
		return gates, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: model %s: %w", prompt.ErrNoGate, model.Short(), err)
	}
	return nil, fmt.Errorf("%w: model %s; start a node with --model and --gate", prompt.ErrNoGate, model.Short())
}

// watch makes sure that this node listens to a model's own topic and that
// the holdings table has room for it. Beyond maxWatched models besides its
// own it does not listen; holders are then found one by one.
func (n *Node) watch(l *live, model expert.ModelID) {
	var pinned bool
	n.dir.read(func(t *holdings) { pinned = t.pinned[model] })
	if pinned {
		return
	}
	_ = n.dir.write(func(t *holdings, _ time.Time) (bool, error) {
		pinned = t.pinned[model] // by somebody else meanwhile, or now
		if !pinned && len(t.pinned)-len(t.own) < maxWatched {
			t.pinned[model] = true
			l.work.run(func() { n.hear(l, modelTopic(model)) })
		}
		return false, nil
	})
}

// hear takes in what is said on a topic from now on.
func (n *Node) hear(l *live, topic string) {
	if err := l.gossip.listen(l.ctx, topic); err != nil {
		n.log.Warn("announcements cannot be heard", "err", err)
	}
}

// Price is what a peer announced that it takes for a token of a model, in
// nneuro; 0: nothing, or nothing is known.
func (n *Node) Price(p routing.Peer, model expert.ModelID) (price uint64) {
	n.dir.read(func(t *holdings) {
		if m := t.models[model]; m != nil && m.peers[p] != nil {
			price = m.peers[p].price
		}
	})
	return price
}

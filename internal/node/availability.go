package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/routing/audit"
	"github.com/moeswarm/moeswarm/swarm"
)

const (
	// availEvery is how often a new epoch is looked for.
	availEvery = time.Second
	// availRows is for how many rows a holder that passes counts, and how many it
	// is asked for while there is no work to look like.
	availRows = 4
	// availTime bounds one such call with its check.
	availTime = 20 * time.Second
	// probePause is the longest pause between two holders; a random part of it
	// passes, so that nobody knows when its turn is.
	probePause = 2 * time.Second
)

// watchAvailability asks holders, in each epoch in which this node has a seat, to
// apply experts that are drawn by the ledger's seed and this node's signature of it:
// nobody else can tell them beforehand, nor this node choose them. The calls
// go the way of all calls, are made after work that others were given, and have their
// receipts, so that they cannot be told from work. What passes, times the share of a
// holder's experts that it stands for, is what emission is divided by; traffic that
// somebody pays for is not.
func (e *economy) watchAvailability(ctx context.Context) error {
	if e.node.audit == nil {
		return nil
	}
	tick := time.NewTicker(availEvery)
	defer tick.Stop()
	done := map[ledger.Hash]uint64{} // by model, the last epoch plus one
	for {
		epoch := e.standing.epoch.Load()
		for _, m := range e.node.cfg.Models {
			id := ledger.Hash(m.Model.ID())
			seats, seed, known := e.standing.known(epoch, id)
			if !m.mayGate() || !known || done[id] > epoch {
				continue
			}
			done[id] = epoch + 1
			if slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == e.self }) {
				e.askAround(ctx, m.Model, epoch, seed)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askAround asks each known holder of a model, in an order that nobody else can
// tell, and as long as the epoch lasts.
func (e *economy) askAround(ctx context.Context, m *expert.Model, epoch uint64, seed ledger.Hash) {
	held := map[routing.Peer][]expert.ID{}
	for _, id := range m.Manifest().IDs() {
		for _, p := range e.node.net.Holders(id) {
			held[p] = append(held[p], id)
		}
	}
	secret := ed25519.Sign(e.key, slices.Concat([]byte("moeswarm availability\x00"+e.cfg.Chain+"\x00"), seed[:]))
	drawn := map[routing.Peer]ledger.Hash{}
	for p := range held {
		drawn[p] = ledger.Sum([]byte("availability"), secret, []byte(p))
	}
	peers := slices.SortedFunc(maps.Keys(held), func(a, b routing.Peer) int {
		x, y := drawn[a], drawn[b]
		return cmp.Or(bytes.Compare(x[:], y[:]), cmp.Compare(a, b))
	})
	for _, p := range peers[:min(len(peers), ledger.MaxTally)] {
		k, err := swarm.KeyOf(p)
		if err != nil || k == e.self {
			continue
		}
		r := rand.New(rand.NewChaCha8(drawn[p]))
		if !pause(ctx, time.Duration(r.Int64N(int64(e.cfg.pauseOfProbes())))) || e.standing.epoch.Load() != epoch {
			return
		}
		units := e.ask(ctx, p, r, held[p], m.Dim())
		e.tallies.audited(epoch, ledger.Hash(m.ID()), k, units)
	}
}

// ask has a holder apply some of the experts that it says it holds. It returns
// how many rows it would have passed with all of them; 0 without a right answer.
func (e *economy) ask(ctx context.Context, p routing.Peer, r *rand.Rand, held []expert.ID, dim int) uint64 {
	a := e.samples.probe(r, p, held, dim)
	ctx, cancel := context.WithTimeout(ctx, availTime)
	defer cancel()
	answer, err := e.caller.Call(ctx, p, a)
	if err != nil {
		e.node.cfg.Log.Debug("a holder is not available", "peer", p, "err", err)
		return 0
	}
	checked := routing.Checked{Peer: p, In: a.In, Calls: a.Calls, Results: answer.Results, Signed: answer.Signed}
	if o := e.node.audit.Inspect(ctx, checked); o != audit.Cleared {
		return 0
	}
	return uint64(availRows * len(held))
}

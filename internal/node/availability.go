package node

import (
	"bytes"
	"cmp"
	"context"
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
	// availExperts and availRows are what a holder is asked for in an epoch by a
	// gating node: so many experts of a layer, so many rows each. It is work without a
	// receipt, of which a holder gives 4,096 rows and a quarter of all.
	availExperts, availRows = 1, 4
	// availTime bounds one such call with its check.
	availTime = 20 * time.Second
)

// watchAvailability asks holders, in each epoch in which this node has a seat, to
// apply experts that the ledger's seed draws to rows that nobody else asks for.
// What passes, times the share of a holder's experts that it stands for, is what
// emission is divided by; traffic that somebody pays for is not.
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

// askAround asks each known holder of a model, in an order that the seed gives.
func (e *economy) askAround(ctx context.Context, m *expert.Model, epoch uint64, seed ledger.Hash) {
	held := map[routing.Peer][]expert.ID{}
	for _, id := range m.Manifest().IDs() {
		for _, p := range e.node.net.Holders(id) {
			held[p] = append(held[p], id)
		}
	}
	drawn := map[routing.Peer]ledger.Hash{}
	for p := range held {
		drawn[p] = ledger.Sum([]byte("availability"), seed[:], e.self[:], []byte(p))
	}
	peers := slices.SortedFunc(maps.Keys(held), func(a, b routing.Peer) int {
		x, y := drawn[a], drawn[b]
		return cmp.Or(bytes.Compare(x[:], y[:]), cmp.Compare(a, b))
	})
	for _, p := range peers[:min(len(peers), ledger.MaxTally)] {
		if k, err := swarm.KeyOf(p); err == nil && ctx.Err() == nil && k != e.self {
			units := e.ask(ctx, p, drawn[p], held[p], m.Dim())
			e.tallies.audited(epoch, ledger.Hash(m.ID()), k, units)
		}
	}
}

// ask has a holder apply some of the experts that it says it holds. It returns
// how many rows it would have passed with all of them; 0 without a right answer.
func (e *economy) ask(ctx context.Context, p routing.Peer, seed ledger.Hash, held []expert.ID, dim int) uint64 {
	r := rand.New(rand.NewChaCha8(seed))
	layer := held[r.IntN(len(held))].Layer
	there := slices.DeleteFunc(slices.Clone(held), func(id expert.ID) bool { return id.Layer != layer })
	r.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
	there = there[:min(len(there), availExperts)]
	in := expert.NewBatch(availRows, dim)
	for i := range in.Data {
		in.Data[i] = float32(r.NormFloat64())
	}
	calls := make([]expert.Call, len(there))
	for i, id := range there {
		calls[i] = expert.Call{Expert: id}
		for row := range int32(availRows) {
			calls[i].Rows = append(calls[i].Rows, row)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, availTime)
	defer cancel()
	answer, err := e.node.net.Call(ctx, p, routing.Ask{In: in, Calls: calls})
	if err != nil {
		e.node.cfg.Log.Debug("a holder is not available", "peer", p, "err", err)
		return 0
	}
	checked := routing.Checked{Peer: p, In: in, Calls: calls, Results: answer.Results, Signed: answer.Signed}
	if o := e.node.audit.Inspect(ctx, checked); o != audit.Cleared {
		return 0
	}
	return uint64(availRows * len(held))
}

package routing

import (
	"context"

	"github.com/moeswarm/moeswarm/expert"
)

// ApplyIn implements [expert.Reuser]: where every expert is held here there is
// nothing to plan and nobody to wait for, and nothing is allocated. Anything
// else, and whatever goes wrong here, takes the way of Apply, in memory that is
// kept with the room; the answers' own goes back when room is used again.
func (r *Router) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	if err := checkCalls(in, calls); err != nil {
		return allFailed(len(calls), err)
	}
	if !r.allHere(calls) {
		return r.lend(ctx, in, calls, room)
	}
	results := expert.ApplyIn(ctx, r.cfg.Local, in, calls, room)
	if len(results) != len(calls) {
		return r.Apply(ctx, in, calls)
	}
	for i := range results {
		if results[i].Err != nil || checkBatch(results[i].Out, len(calls[i].Rows), in.Dim) != nil {
			return r.Apply(ctx, in, calls)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.totals.LocalCalls += len(calls)
	r.mu.totals.LocalRounds++
	r.countAwayLocked(0)
	return results
}

// lend does what Apply does, for the time until room is used again.
func (r *Router) lend(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	w, _ := room.Kept().(*round)
	if w == nil || w.router != r {
		w = newRound(r)
		w.lent = true
		room.Keep(w)
	}
	w.begin(ctx, in, calls, false)
	w.run()
	w.end()
	return w.results
}

func (r *Router) allHere(calls []expert.Call) bool {
	for i := range calls {
		if !r.cfg.LocalHolds(calls[i].Expert) {
			return false
		}
	}
	return len(calls) > 0
}

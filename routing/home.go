package routing

import (
	"context"

	"github.com/moeswarm/moeswarm/expert"
)

// ApplyIn implements [expert.Reuser]: where every expert is held here there is
// nothing to plan and nobody to wait for, and nothing is allocated. Anything
// else, and whatever goes wrong here, takes the way of Apply.
func (r *Router) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	if !r.allHere(calls) || checkCalls(in, calls) != nil {
		return r.Apply(ctx, in, calls)
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

func (r *Router) allHere(calls []expert.Call) bool {
	for i := range calls {
		if !r.cfg.LocalHolds(calls[i].Expert) {
			return false
		}
	}
	return len(calls) > 0
}

package simswarm

import (
	"context"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Work is how long a modelled holder takes: PerCall for each expert, whose
// weights are read once, and PerRow for each row.
type Work struct {
	PerCall, PerRow time.Duration
	Sleep           Sleep // nil: with timers
}

// Modelled makes an Applier take as long as the model says, by sleeping after
// the real work, which should be the shorter of the two.
func Modelled(a expert.Applier, w Work) expert.Applier {
	if w.Sleep == nil {
		w.Sleep = pause
	}
	return applier(func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
		began := time.Now()
		results := a.Apply(ctx, in, calls)
		rows := 0
		for _, c := range calls {
			rows += len(c.Rows)
		}
		took := time.Duration(len(calls))*w.PerCall + time.Duration(rows)*w.PerRow
		if err := w.Sleep(ctx, took-time.Since(began)); err != nil {
			return failed(len(calls), err)
		}
		return results
	})
}

type applier func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result

func (f applier) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	return f(ctx, in, calls)
}

func failed(n int, err error) []expert.Result {
	results := make([]expert.Result, n)
	for i := range results {
		results[i].Err = err
	}
	return results
}

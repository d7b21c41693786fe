package simswarm

import (
	"context"
	"math"
	"slices"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/expert"
)

// Lying answers every call with numbers of the right shape and size that are
// not what the expert gives: each row reversed.
func Lying() Fault { return LyingSeldom(1, 0, nil) }

// LyingSeldom lies about a share p of the calls. It adds the lies told to
// told, which may be nil.
func LyingSeldom(p float64, seed uint64, told *atomic.Int64) Fault {
	return func(honest expert.Applier) expert.Applier {
		c := newChance(seed, seedLying)
		return applier(func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			results := honest.Apply(ctx, in, calls)
			for i := range results {
				if results[i].Err == nil && c.hit(p) {
					results[i].Out = lie(results[i].Out)
					if told != nil {
						told.Add(1)
					}
				}
			}
			return results
		})
	}
}

// lie makes finite numbers of the same distribution out of a result.
func lie(b expert.Batch) expert.Batch {
	out := expert.Batch{Rows: b.Rows, Dim: b.Dim, Data: slices.Clone(b.Data)}
	for r := range out.Rows {
		slices.Reverse(out.Row(r))
		if math.IsNaN(float64(out.Row(r)[0])) {
			out.Row(r)[0] = 0
		}
	}
	return out
}

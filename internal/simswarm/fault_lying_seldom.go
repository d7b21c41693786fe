package simswarm

import (
	"context"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/expert"
)

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

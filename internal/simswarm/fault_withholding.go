package simswarm

import (
	"context"

	"github.com/moeswarm/moeswarm/expert"
)

// Withholding accepts every ask and never answers.
func Withholding() Fault { return WithholdingSeldom(1, 0) }

// WithholdingSeldom swallows an ask with probability p for each of its calls.
func WithholdingSeldom(p float64, seed uint64) Fault {
	return func(honest expert.Applier) expert.Applier {
		c := newChance(seed, seedWithholding)
		return applier(func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			for range calls {
				if c.hit(p) {
					<-ctx.Done()
					return failed(len(calls), ctx.Err())
				}
			}
			return honest.Apply(ctx, in, calls)
		})
	}
}

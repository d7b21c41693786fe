package simswarm

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// Failing loses the connection with probability p at each call, that is at
// each expert asked for: an ask for eight experts fails eight times as often.
func Failing(p float64, seed uint64) Fault {
	return func(honest expert.Applier) expert.Applier {
		c := newChance(seed, seedFailing)
		return applier(func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			for range calls {
				if c.hit(p) {
					return failed(len(calls), fmt.Errorf("%w: the connection broke", expert.ErrUnreachable))
				}
			}
			return honest.Apply(ctx, in, calls)
		})
	}
}

package simswarm

import (
	"context"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Slow takes factor times as long as it should.
func Slow(factor float64) Fault { return SlowAfter(0, factor) }

// slowWhen stretches the work of asks for which now says so.
func slowWhen(factor float64, now func() bool) Fault {
	return func(honest expert.Applier) expert.Applier {
		return applier(func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			slow := now()
			began := time.Now()
			results := honest.Apply(ctx, in, calls)
			if slow {
				if err := pause(ctx, time.Duration((factor-1)*float64(time.Since(began)))); err != nil {
					return failed(len(calls), err)
				}
			}
			return results
		})
	}
}

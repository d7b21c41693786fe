package simswarm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Slow takes factor times as long as it should.
func Slow(factor float64) Fault { return SlowAfter(0, factor) }

// SlowAfter is well-behaved for so many asks, and factor times slower from
// then on.
func SlowAfter(asks int, factor float64) Fault {
	var seen atomic.Int64
	return slowWhen(factor, func() bool { return seen.Add(1) > int64(asks) })
}

// SlowSeldom is factor times slower at a share p of the asks, drawn one by one:
// nothing announces it.
func SlowSeldom(factor, p float64, seed uint64) Fault {
	c := newChance(seed, seedSlow)
	return slowWhen(factor, func() bool { return c.hit(p) })
}

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

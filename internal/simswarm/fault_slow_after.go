package simswarm

import "sync/atomic"

// SlowAfter is well-behaved for so many asks, and factor times slower from
// then on.
func SlowAfter(asks int, factor float64) Fault {
	var seen atomic.Int64
	return slowWhen(factor, func() bool { return seen.Add(1) > int64(asks) })
}

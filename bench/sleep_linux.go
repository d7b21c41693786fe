package bench

import (
	"context"
	"syscall"
	"time"
)

// exactSleep waits to within a tenth of a millisecond. The runtime's timers
// are up to a millisecond late when the processors are idle, which is much of
// a short round trip; so the last bit is slept by the kernel, on a thread of
// its own.
func exactSleep(ctx context.Context, d time.Duration) error {
	const byKernel = 1500 * time.Microsecond
	due := time.Now().Add(d)
	if d > byKernel {
		t := time.NewTimer(d - byKernel)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	if rest := time.Until(due); rest > 0 {
		ts := syscall.NsecToTimespec(rest.Nanoseconds())
		_ = syscall.Nanosleep(&ts, nil) // a signal may end it early: nobody minds
	}
	return ctx.Err()
}

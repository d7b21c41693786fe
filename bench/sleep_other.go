//go:build !linux

package bench

import (
	"context"
	"time"
)

// exactSleep waits as exactly as the runtime's timers do.
func exactSleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

package swarm

import (
	"context"
	"sync"
	"sync/atomic"
)

// callEnd is a call's context: it ends when the call is cancelled, or with the
// server's work. Those who compute mostly ask whether it has ended and do not wait
// for it, so that what waiting takes is made when somebody does.
type callEnd struct {
	context.Context // of the server's work

	cancelled atomic.Bool
	mu        struct {
		sync.Mutex
		done context.Context // nil: nobody has waited
		stop context.CancelFunc
	}
}

// Err implements context.Context.
func (c *callEnd) Err() error {
	if c.cancelled.Load() {
		return context.Canceled
	}
	return c.Context.Err()
}

// Done implements context.Context.
func (c *callEnd) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.done == nil {
		c.mu.done, c.mu.stop = context.WithCancel(c.Context)
		if c.cancelled.Load() {
			c.mu.stop()
		}
	}
	return c.mu.done.Done()
}

func (c *callEnd) cancel() {
	c.cancelled.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.stop != nil {
		c.mu.stop()
	}
}

// used reports whether the call was cancelled, or anybody waits for that.
func (c *callEnd) used() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.done != nil || c.cancelled.Load()
}

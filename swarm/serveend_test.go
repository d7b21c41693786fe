package swarm

import (
	"context"
	"errors"
	"testing"
)

// TestCallEnd: a call ends when it is cancelled or the work does, for who asks and
// for who waits, before and after.
func TestCallEnd(t *testing.T) {
	for name, end := range map[string]func(*callEnd, context.CancelFunc){
		"cancelled":       func(c *callEnd, _ context.CancelFunc) { c.cancel() },
		"the work ends":   func(_ *callEnd, stop context.CancelFunc) { stop() },
		"cancelled twice": func(c *callEnd, stop context.CancelFunc) { c.cancel(); stop(); c.cancel() },
	} {
		for _, early := range []bool{false, true} {
			work, stop := context.WithCancel(t.Context())
			c := &callEnd{Context: work}
			waits := make(chan error, 1)
			wait := func() { done := c.Done(); go func() { <-done; waits <- c.Err() }() }
			if early {
				wait()
			}
			if c.Err() != nil || c.used() != early {
				t.Errorf("%s: at first: %v, used %v", name, c.Err(), c.used())
			}
			if end(c, stop); !errors.Is(c.Err(), context.Canceled) {
				t.Errorf("%s: %v", name, c.Err())
			}
			if !early {
				wait()
			}
			if err := <-waits; !errors.Is(err, context.Canceled) || !c.used() {
				t.Errorf("%s: who waited sees %v", name, err)
			}
			stop()
		}
	}
}

package routing

import (
	"context"
	"sync"
)

// inbox holds the outcomes that the round has yet to take in. Whoever brings
// one never waits.
type inbox struct {
	mu   sync.Mutex
	came []outcome     // guarded by mu
	some chan struct{} // one token: something came
}

func newInbox() *inbox { return &inbox{some: make(chan struct{}, 1)} }

func (b *inbox) put(o outcome) {
	b.mu.Lock()
	b.came = append(b.came, o)
	b.mu.Unlock()
	select {
	case b.some <- struct{}{}:
	default:
	}
}

// take gives the oldest outcome.
func (b *inbox) take() (o outcome, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.came) == 0 {
		return o, false
	}
	o = b.came[0]
	b.came[0] = outcome{}
	b.came = b.came[1:]
	return o, true
}

// waiter is a starter that waits for each answer in a goroutine.
type waiter struct{ Caller }

// Start implements [Starter].
func (w waiter) Start(ctx context.Context, to Peer, a Ask, done func(func() (Answer, error))) func(error) {
	return StartWaiting(ctx, w.Caller, to, a, done)
}

// StartWaiting is how a [Starter] starts what can only be waited for: in a
// goroutine, which ends when the caller returns.
func StartWaiting(ctx context.Context, c Caller, to Peer, a Ask, done func(read func() (Answer, error))) (stop func(why error)) {
	own, stop := context.WithCancelCause(ctx)
	go func() {
		defer stop(nil)
		answer, err := c.Call(own, to, a)
		done(func() (Answer, error) { return answer, err })
	}()
	return stop
}

package routing

import (
	"context"
	"sync"
	"time"
)

// inbox holds the outcomes that the round has yet to take in. Whoever brings
// one never waits.
type inbox struct {
	mu   sync.Mutex
	came []*outcome
	next int           // the oldest of came that was not taken
	due  int           // outcomes that have yet to come
	nap  nap           // of the round, while it waits
	some chan struct{} // one token: the round is to look
}

// nap is what a round that waits is woken for: the last outcome that is due, and
// what is urgent; any, unless it is patient.
type nap struct {
	on bool
	// patient: what comes while the others are about to come, too, waits for them,
	// since to wake for each costs more than to take it in. They are expected until
	// then; from when on that is soon, what comes waits.
	patient bool
	until   time.Time
}

// together is how soon the last answer is to be expected for others to wait for it.
const together = 5 * time.Millisecond

func newInbox() *inbox { return &inbox{some: make(chan struct{}, 1)} }

// expect announces an outcome.
func (b *inbox) expect() {
	b.mu.Lock()
	b.due++
	b.mu.Unlock()
}

// put leaves an outcome that came now. urgent: there is something to decide.
func (b *inbox) put(o *outcome, now time.Time, urgent bool) {
	b.mu.Lock()
	b.came = append(b.came, o)
	b.due--
	s := b.nap
	wake := s.on && (urgent || b.due == 0 || !s.patient || now.Add(together).Before(s.until))
	if wake {
		b.nap.on = false
	}
	b.mu.Unlock()
	if wake {
		b.ring()
	}
}

// ring has the round look.
func (b *inbox) ring() {
	select {
	case b.some <- struct{}{}:
	default:
	}
}

// take gives the oldest outcome; nil: there is none.
func (b *inbox) take() (o *outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nap.on = false
	if b.next == len(b.came) {
		b.came, b.next = b.came[:0], 0
		return nil
	}
	o = b.came[b.next]
	b.came[b.next] = nil
	b.next++
	return o
}

// rest prepares to wait. It reports false when there is something to take.
func (b *inbox) rest(s nap) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nap = s
	b.nap.on = b.next == len(b.came)
	return b.nap.on
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

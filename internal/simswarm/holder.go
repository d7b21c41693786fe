package simswarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Holder is a peer that computes experts.
type Holder struct {
	Name  routing.Peer
	Held  []expert.ID
	Apply expert.Applier
	Link  *Link // the way to it; nil: the swarm's
	// Workers is how many frames it works on at once; default 1.
	Workers int
	// Queue is how many frames may wait; more are refused. Default 256, what
	// real holders grant a peer.
	Queue int
}

// Stats of a holder. They only grow.
type Stats struct {
	Asks      int // that arrived
	Calls     int // expert calls in them
	Refused   int // asks turned away at a full queue
	Cancelled int // asks whose work ended early because nobody wanted it
	Compute   time.Duration
}

// holder is a Holder at work.
type holder struct {
	Holder
	slots chan struct{} // one for each worker; waiters get them in order

	mu struct {
		sync.Mutex
		waiting int
		usual   time.Duration // a frame's work, on average
		stats   Stats
		dead    bool
		crash   context.Context // ends at the next Kill
		die     context.CancelFunc
	}
}

func newHolder(h Holder) *holder {
	if h.Workers <= 0 {
		h.Workers = 1
	}
	if h.Queue <= 0 {
		h.Queue = 256
	}
	w := &holder{Holder: h, slots: make(chan struct{}, h.Workers)}
	w.mu.crash, w.mu.die = context.WithCancel(context.Background())
	return w
}

func (h *holder) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.dead = true
	h.mu.die()
}

func (h *holder) revive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.dead {
		h.mu.dead = false
		h.mu.crash, h.mu.die = context.WithCancel(context.Background())
	}
}

func (h *holder) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.stats
}

func (h *holder) load() (routing.Load, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.dead {
		return routing.Load{}, h.gone()
	}
	return routing.Load{Waiting: h.mu.waiting, Queued: time.Duration(h.mu.waiting) * h.mu.usual / time.Duration(h.Workers)}, nil
}

func (h *holder) gone() error { return fmt.Errorf("%w: %s is gone", expert.ErrUnreachable, h.Name) }

// overloaded is a refusal that says when to come back.
type overloaded struct{ wait time.Duration }

func (o overloaded) Error() string             { return expert.ErrOverloaded.Error() }
func (o overloaded) Unwrap() error             { return expert.ErrOverloaded }
func (o overloaded) RetryAfter() time.Duration { return o.wait }

// arrive lets an ask in or turns it away.
func (h *holder) arrive(calls int) (crash context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.dead {
		return nil, h.gone()
	}
	h.mu.stats.Asks++
	h.mu.stats.Calls += calls
	if h.mu.waiting >= h.Queue {
		h.mu.stats.Refused++
		return nil, overloaded{time.Duration(h.mu.waiting) * h.mu.usual / time.Duration(h.Workers)}
	}
	h.mu.waiting++
	return h.mu.crash, nil
}

// serve is the holder's side of an ask.
func (h *holder) serve(ctx context.Context, a routing.Ask) (routing.Answer, error) {
	crash, err := h.arrive(len(a.Calls))
	if err != nil {
		return routing.Answer{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(crash, stop)()

	came := time.Now()
	select {
	case h.slots <- struct{}{}:
		// Also when the ask was cancelled meanwhile: a place that is taken is
		// given back.
		defer func() { <-h.slots }()
	case <-ctx.Done():
	}
	h.mu.Lock()
	h.mu.waiting--
	h.mu.Unlock()
	if ctx.Err() != nil {
		return routing.Answer{}, h.ended(crash, ctx)
	}

	began := time.Now()
	answer := routing.Answer{Queued: began.Sub(came)}
	results := h.Apply.Apply(ctx, a.In, a.Calls)
	answer.Compute = time.Since(began)
	waiting := h.worked(answer.Compute)
	if ctx.Err() != nil {
		return routing.Answer{}, h.ended(crash, ctx)
	}
	answer.Waiting = waiting
	for i := range results { // an Applier that says so has broken the connection
		if errors.Is(results[i].Err, expert.ErrUnreachable) {
			return routing.Answer{}, results[i].Err
		}
	}
	if !a.Sum {
		answer.Results = results
		return answer, nil
	}
	answer.Sum, err = expert.SumResults(a.In, a.Calls, results)
	return answer, err
}

// ended says why work ended early.
func (h *holder) ended(crash, ctx context.Context) error {
	if crash.Err() != nil {
		return h.gone()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.stats.Cancelled++
	return ctx.Err()
}

// worked counts a frame's work and says how many frames wait.
func (h *holder) worked(took time.Duration) (waiting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.stats.Compute += took
	h.mu.usual += (took - h.mu.usual) / 4
	return h.mu.waiting
}

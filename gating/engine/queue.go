package engine

import (
	"slices"
	"sync"
)

// queue holds the sequences that wait for a slot, in an order that is fair
// between users, and counts the places that answers take. The callers of
// Complete put sequences in and take their own out again; the goroutine of Run
// takes them out to run them.
type queue struct {
	places int           // for answers running, waiting or being read
	wake   chan struct{} // holds a signal when something was put in or gave up

	mu struct {
		sync.Mutex
		waiting []*sequence // oldest first
		ledger  ledger      // of users with places
		closed  bool
	}
}

func newQueue(places int) *queue {
	q := &queue{places: places, wake: make(chan struct{}, 1)}
	q.mu.ledger = ledger{}
	return q
}

// enter takes a place for an answer. When none is left, a sequence that waits
// makes room if its user has more than a fair share of them, and ends with
// busy; otherwise enter fails. What enters leaves again.
func (q *queue) enter(user string, busy func() error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.ledger.places() >= q.places {
		i := displaced(q.mu.waiting, q.mu.ledger, user)
		if i < 0 {
			return false
		}
		s := q.mu.waiting[i]
		q.mu.waiting = slices.Delete(q.mu.waiting, i, i+1)
		s.end("", busy())
	}
	q.mu.ledger.enter(user)
	return true
}

// leave gives a place back.
func (q *queue) leave(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.ledger.leave(user)
}

// charge notes that rows of a user's sequences went through the trunk.
func (q *queue) charge(user string, rows int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.ledger.charge(user, rows)
}

// push reports whether the queue took the sequence; a closed one does not.
func (q *queue) push(s *sequence) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return false
	}
	q.mu.waiting = append(q.mu.waiting, s)
	q.nudge()
	return true
}

// nudge makes Run's goroutine look again.
func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// first is the sequence whose turn it is; nil when none waits. It stays in the
// queue.
func (q *queue) first() *sequence {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.waiting) == 0 {
		return nil
	}
	return q.mu.waiting[fairest(q.mu.waiting, q.mu.ledger)]
}

// remove takes s out and reports whether it still waited.
func (q *queue) remove(s *sequence) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.mu.waiting, s)
	if i >= 0 {
		q.mu.waiting = slices.Delete(q.mu.waiting, i, i+1)
	}
	return i >= 0
}

// close returns what waits and takes nothing more.
func (q *queue) close() []*sequence {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
	waiting := q.mu.waiting
	q.mu.waiting = nil
	return waiting
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.waiting)
}

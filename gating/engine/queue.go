package engine

import (
	"slices"
	"sync"
)

// queue holds the sequences that wait for a slot, first come first served.
// The callers of Complete put sequences in and take their own out again; the
// goroutine of Run takes them out to run them.
type queue struct {
	wake chan struct{} // holds a signal when something was put in

	mu struct {
		sync.Mutex
		waiting []*sequence
		closed  bool
	}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push reports whether the queue took the sequence; a closed one does not.
func (q *queue) push(s *sequence) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return false
	}
	q.mu.waiting = append(q.mu.waiting, s)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// pop takes out the sequence that has waited longest; nil when none waits.
func (q *queue) pop() *sequence {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.waiting) == 0 {
		return nil
	}
	s := q.mu.waiting[0]
	q.mu.waiting = slices.Delete(q.mu.waiting, 0, 1)
	return s
}

// remove takes s out, if it still waits.
func (q *queue) remove(s *sequence) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.mu.waiting, s); i >= 0 {
		q.mu.waiting = slices.Delete(q.mu.waiting, i, i+1)
	}
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

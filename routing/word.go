package routing

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrNoWord: the peer did not sign an answer in time, or is gone.
var ErrNoWord = errors.New("the answer is not signed")

// Word is a peer's signature under one frame of an answer. It comes behind the
// answer, so that nothing waits for it. Its methods may be used by several goroutines
// at once. The zero value is a word that is still to come.
type Word struct {
	mu    sync.Mutex
	over  bool
	said  Said
	err   error
	heard []func(error)
	done  chan struct{} // closed once it is over; nil: nobody waits
}

// Said is a peer's statement about one or several frames. This package does not
// read it.
type Said struct {
	Statement []byte
	Place     int // of the frame among those that it is about
}

// Come ends the waiting: with what the peer said, or with an error, which wraps
// [ErrNoWord] where it said nothing. Only the first counts.
func (w *Word) Come(s Said, err error) {
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.over, w.said, w.err = true, s, err
	heard := w.heard
	w.heard = nil
	if w.done != nil {
		close(w.done)
	}
	w.mu.Unlock()
	for _, f := range heard {
		f(err)
	}
}

// Then has f called once the word has come, or will not; at once if that is so by
// now. f must not block.
func (w *Word) Then(f func(error)) {
	w.mu.Lock()
	if !w.over {
		w.heard = append(w.heard, f)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	f(w.err)
}

// Wait returns what the peer said. An error wraps [ErrNoWord] when that is nothing,
// or when ctx ends first.
func (w *Word) Wait(ctx context.Context) (Said, error) {
	w.mu.Lock()
	if w.over {
		defer w.mu.Unlock()
		return w.said, w.err
	}
	if w.done == nil {
		w.done = make(chan struct{})
	}
	w.mu.Unlock()
	select {
	case <-w.done:
		return w.said, w.err
	case <-ctx.Done():
		return Said{}, fmt.Errorf("%w: %w", ErrNoWord, ctx.Err())
	}
}

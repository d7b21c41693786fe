package routing

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// TestWord: who waits and who asks to be told hear of the first outcome, once each,
// before and after it.
func TestWord(t *testing.T) {
	for _, want := range []error{nil, ErrNoWord} {
		w := new(Word)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Wait(ended); !errors.Is(err, ErrNoWord) || !errors.Is(err, context.Canceled) {
			t.Errorf("waited in vain: %v", err)
		}
		var told []error
		tell := func(err error) { told = append(told, err) }
		w.Then(tell)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if s, err := w.Wait(t.Context()); err != want || string(s.Statement) != "one" || s.Place != 3 {
					t.Errorf("%q at %d, %v", s.Statement, s.Place, err)
				}
			})
		}
		w.Come(Said{[]byte("one"), 3}, want)
		w.Come(Said{[]byte("another"), 4}, errors.New("late"))
		all.Wait()
		w.Then(tell)
		if len(told) != 2 || told[0] != want || told[1] != want {
			t.Errorf("told %v", told)
		}
		if _, err := w.Wait(ended); err != want {
			t.Errorf("a word that came, when the context has ended: %v", err)
		}
	}
}

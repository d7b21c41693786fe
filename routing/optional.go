package routing

import (
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// dropLate gives up on optional calls that hold up the others: once all calls
// that must be answered are, an optional one has until its peer's p95. One
// that waits for a holder is not waited for. It returns when the next of them
// has had its time. Sums have no optional calls, since a sum cannot tell what
// it left out.
func (w *round) dropLate(now time.Time) (next time.Time) {
	if w.work.Sum {
		return next
	}
	for c := range w.calls {
		if w.calls[c].phase < answered && !w.work.Calls[c].Optional {
			return time.Time{}
		}
	}
	for c := range w.calls {
		switch s := &w.calls[c]; {
		case s.phase == waiting:
			w.drop(c)
		case s.phase == flying && s.asks > 0:
			if grace := w.grace(c); grace.After(now) {
				next = sooner(next, grace)
			} else {
				w.drop(c)
			}
		}
	}
	w.cancelOutrun()
	return next
}

// grace is when the last of a call's attempts should have been answered.
func (w *round) grace(c int) (end time.Time) {
	for _, f := range w.asks {
		for _, other := range f.calls {
			if at := f.began.Add(f.tail); other == c && at.After(end) {
				end = at
			}
		}
	}
	return end
}

// drop gives up on an optional call that is late.
func (w *round) drop(c int) {
	w.router.mu.Lock()
	defer w.router.mu.Unlock()
	w.dropLocked(c, fmt.Errorf("%w: %v, which the answer can do without", expert.ErrStraggler, w.work.Calls[c].Expert))
}

func (w *round) dropLocked(c int, why error) {
	w.giveUp(c, why)
	t := &w.router.mu.totals
	t.Dropped++
	for _, weight := range w.work.Calls[c].Weights {
		t.DroppedMass += float64(weight)
	}
}

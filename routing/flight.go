package routing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// flight is an ask under way at a peer.
type flight struct {
	ask
	began  time.Time
	cancel context.CancelCauseFunc
}

// pending is a duplicate that is to be started unless the calls have been
// answered by then.
type pending struct {
	peer  Peer
	calls []int
	after time.Duration
	at    time.Time
}

// errOutrun is why an ask is cancelled whose calls need no answer any more.
var errOutrun = errors.New("answered by another peer meanwhile")

// start begins an ask in its own goroutine, which ends with an outcome.
func (w *round) start(ctx context.Context, a ask) {
	w.flying++
	w.remote = true
	calls := make([]expert.Call, len(a.calls))
	for i, c := range a.calls {
		calls[i] = w.work.Calls[c]
		w.calls[c].asks++
	}
	lost, cancel := context.WithCancelCause(ctx)
	f := &flight{ask: a, began: time.Now(), cancel: cancel}
	w.asks = append(w.asks, f)
	go func() {
		defer cancel(nil)
		own, done := context.WithTimeout(lost, a.limit)
		defer done()
		o := outcome{ask: a, flight: f, began: f.began}
		sent := Ask{In: w.in, Calls: calls, Sum: w.work.Sum}
		o.answer, o.err = w.router.cfg.Caller.Call(own, a.peer, sent)
		o.took = time.Since(o.began)
		if o.err == nil {
			o.err = checkAnswer(&sent, &o.answer)
		}
		if o.err != nil {
			o.kind = blame(ctx, own, o.err)
			o.outrun = o.kind == Cancelled && context.Cause(own) == errOutrun
		}
		w.done <- o
	}()
}

// landed takes a flight out of those under way.
func (w *round) landed(f *flight) {
	w.asks = slices.DeleteFunc(w.asks, func(other *flight) bool { return other == f })
	for _, c := range f.calls {
		w.calls[c].asks--
	}
}

// cancelOutrun cancels the asks that nobody waits for any more: their peers
// are told, and stop.
func (w *round) cancelOutrun() {
	for _, f := range w.asks {
		if !slices.ContainsFunc(f.calls, func(c int) bool { return w.calls[c].phase == flying }) {
			f.cancel(errOutrun)
		}
	}
}

// hedge starts the duplicates that are due and says when the next is.
func (w *round) hedge(ctx context.Context, now time.Time) (next time.Time) {
	for _, f := range slices.Clone(w.asks) {
		f.hedges = slices.DeleteFunc(f.hedges, func(h pending) bool {
			if h.at.After(now) {
				next = sooner(next, h.at)
				return false
			}
			h.calls = slices.DeleteFunc(h.calls, func(c int) bool {
				return w.calls[c].phase != flying || w.calls[c].asks != 1 || w.calls[c].doubled
			})
			if len(h.calls) > 0 {
				for _, a := range w.double(f.peer, h, now) {
					w.start(ctx, a)
				}
			}
			return true
		})
	}
	return next
}

// double makes the asks of a duplicate, if the budget pays for it. The peer
// planned may have failed meanwhile: then it is planned anew.
func (w *round) double(primary Peer, h pending, now time.Time) (asks []ask) {
	r := w.router
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.mu.table
	attempts := []Attempt{{Peer: h.peer, Calls: h.calls}}
	if e, _ := t.find(h.peer); e == nil || !e.askable(now) || e.Suspect() {
		w.prepare(h.calls, now)
		if n, ok := t.index[primary]; ok {
			for _, c := range h.calls {
				w.work.Excluded[c] = append(w.work.Excluded[c], n)
			}
		}
		again := w.work
		again.Hedge = HedgeOff
		attempts, _ = r.mu.planner.plan(again, t.estimates, now, r.cfg.Policy.Seed)
	}
	for _, a := range attempts {
		if h.after == atOnce && r.mu.budget.left-float64(len(a.Calls)) < criticalReserve*budgetMost || !r.mu.budget.pay(len(a.Calls)) {
			continue
		}
		for _, c := range a.Calls {
			w.calls[c].doubled = true
		}
		r.mu.totals.Hedges++
		r.mu.totals.HedgedCalls += len(a.Calls)
		own := w.register(a.Peer, a.Calls, now)
		own.hedge = true
		asks = append(asks, own)
	}
	return asks
}

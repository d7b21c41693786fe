package routing

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// flight is an ask under way at a peer.
type flight struct {
	ask
	began  time.Time
	halted atomic.Pointer[error] // why it was told to stop; nil: it was not
	stop   func(why error)       // tells the caller
}

// halt tells the peer to stop, once. The flight then lands soon.
func (f *flight) halt(why error) {
	if f.halted.CompareAndSwap(nil, &why) {
		f.stop(why)
	}
}

// why is the reason that it was told to stop for, nil if it was not.
func (f *flight) why() error {
	if e := f.halted.Load(); e != nil {
		return *e
	}
	return nil
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

// start begins an ask, which ends with an outcome in the inbox.
func (w *round) start(ctx context.Context, a ask) {
	w.flying++
	w.remote = true
	calls := make([]expert.Call, len(a.calls))
	for i, c := range a.calls {
		calls[i] = w.work.Calls[c]
		w.calls[c].asks++
	}
	f := &flight{ask: a, began: time.Now()}
	w.asks = append(w.asks, f)
	sent := Ask{In: w.in, Calls: calls, Sum: w.work.Sum}
	f.stop = w.router.cfg.Starter.Start(ctx, a.peer, sent, func(read func() (Answer, error)) {
		w.inbox.put(outcome{ask: a, flight: f, began: f.began, took: time.Since(f.began), why: f.why(), over: ctx.Err() != nil,
			read: func(o *outcome) {
				if o.answer, o.err = read(); o.err == nil {
					o.err = checkAnswer(&sent, &o.answer)
				}
			}})
	})
}

// open reads the answer of an outcome, and says whom to blame if there is none.
func (o *outcome) open() {
	if o.read == nil {
		return
	}
	o.read(o)
	o.read = nil
	if o.err != nil {
		o.kind = blame(o.over, o.why, o.err)
		o.outrun = o.kind == Cancelled && o.why == errOutrun
	}
}

// cutOff stops the flights that have had all their time, and says when the next
// of the others will have.
func (w *round) cutOff(now time.Time) (next time.Time) {
	for _, f := range w.asks {
		if due := f.began.Add(f.limit); due.After(now) {
			next = sooner(next, due)
		} else {
			f.halt(context.DeadlineExceeded)
		}
	}
	return next
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
			f.halt(errOutrun)
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

package routing

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// flight is an ask under way at a peer. Its memory serves for others when the
// round is over.
type flight struct {
	ask
	round  *round
	sent   Ask
	began  time.Time
	halted atomic.Pointer[error]             // why it was told to stop; nil: it was not
	stop   func(why error)                   // tells the caller
	came   func(read func() (Answer, error)) // arrived, bound once
	out    outcome
}

// newFlight makes a flight of this round's.
func (w *round) newFlight() (f *flight) {
	if last := len(w.free) - 1; last >= 0 {
		f, w.free[last] = w.free[last], nil
		w.free = w.free[:last]
	} else {
		f = &flight{round: w}
		f.came = f.arrived
	}
	w.flights = append(w.flights, f)
	return f
}

// land forgets all but the memory.
func (f *flight) land() {
	clear(f.sent.Calls)
	f.ask = ask{calls: f.calls[:0], hedges: f.hedges[:0]}
	f.sent = Ask{Calls: f.sent.Calls[:0]}
	f.halted.Store(nil)
	f.stop, f.out = nil, outcome{}
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
func (w *round) start(f *flight) {
	w.flying++
	w.inbox.expect()
	w.remote = true
	f.sent.In, f.sent.Sum, f.sent.Once = w.in, w.work.Sum, &w.once
	for _, c := range f.calls {
		f.sent.Calls = append(f.sent.Calls, w.work.Calls[c])
		w.calls[c].asks++
	}
	w.asks = append(w.asks, f)
	f.out = outcome{ask: &f.ask, flight: f}
	f.began = time.Now()
	f.stop = w.router.cfg.Starter.Start(w.ctx, f.peer, f.sent, f.came)
}

// arrived reads what came for the ask, where that is short and at hand, and says
// whom to blame if there is no answer. From its end on the flight is the round's.
func (f *flight) arrived(read func() (Answer, error)) {
	o, now := &f.out, time.Now()
	o.began, o.took = f.began, now.Sub(f.began)
	why, over := f.why(), f.round.ended()
	if o.answer, o.err = read(); o.err == nil {
		o.err = checkAnswer(&f.sent, &o.answer)
	}
	if o.err != nil {
		o.kind = blame(over, why, o.err)
		o.outrun = o.kind == Cancelled && why == errOutrun
	}
	f.round.inbox.put(o, now, o.err != nil || anyFailed(o.answer.Results))
}

func anyFailed(results []expert.Result) bool {
	for i := range results {
		if results[i].Err != nil {
			return true
		}
	}
	return false
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
func (w *round) hedge(now time.Time) (next time.Time) {
	for _, f := range w.asks { // duplicates have none themselves
		if len(f.hedges) == 0 {
			continue
		}
		f.hedges = slices.DeleteFunc(f.hedges, func(h pending) bool {
			if h.at.After(now) {
				next = sooner(next, h.at)
				return false
			}
			h.calls = slices.DeleteFunc(h.calls, func(c int) bool {
				return w.calls[c].phase != flying || w.calls[c].asks != 1 || w.calls[c].doubled
			})
			if len(h.calls) > 0 {
				before := len(w.flights)
				w.double(f.peer, h, now)
				for _, own := range w.flights[before:] {
					w.start(own)
				}
			}
			return true
		})
	}
	return next
}

// double makes the asks of a duplicate, if the budget pays for it. The peer
// planned may have failed meanwhile: then it is planned anew.
func (w *round) double(primary Peer, h pending, now time.Time) {
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
		w.register(a.Peer, a.Calls, now).hedge = true
	}
}

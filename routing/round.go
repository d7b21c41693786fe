package routing

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// round sees the calls of one layer through. One goroutine owns it, the one
// that called Apply or Sum; attempts end with an outcome in its inbox. Its memory
// serves for the next round when this one is over.
type round struct {
	router *Router
	ctx    context.Context // of the call
	over   atomic.Bool     // nothing more is wanted of what is under way
	work   Work
	in     expert.Batch
	calls  []callState
	began  time.Time

	open     int       // calls neither answered nor given up
	optional bool      // there are such as may be given up
	flying   int       // attempts and checks under way, the local attempt included
	asks     []*flight // the attempts at peers among them
	inbox    *inbox
	askedAt  time.Time     // when Missing was last called
	alarm    *time.Timer   // nil: none was needed yet
	alarmAt  time.Time     // when it rings; zero: it does not
	remote   bool          // some peer was asked
	away     time.Duration // what the slowest answer used spent on the network

	attempts context.Context // ends with the round; nil: nobody needs it
	cancel   context.CancelFunc

	lent    bool            // results are the caller's for a while only
	results []expert.Result // one per call; without Sum
	parts   []part          // with Sum
	held    []*outcome      // with Sum: good answers that may not be needed
	err     error           // with Sum: why there is none

	mine  outcome     // of the experts held here
	local expert.Room // what it lies in, if results are lent
	own   []expert.Call

	once          Once      // of all its asks
	flights, free []*flight // all of this round; such as are free
	listed        [][]Peer  // for place
	due           []int     // calls to be placed
	errs          []error   // for settle
	won           []int     // for deliver
	done          []func()  // with lent: give answers' memory back
}

// phase is where a call stands.
type phase uint8

const (
	waiting  phase = iota // for its next attempt
	flying                // in an attempt, perhaps in two
	held                  // in a sum that is there, but may not be needed
	checking              // answered, and the answer is being checked
	answered              // well
	given                 // up
)

type callState struct {
	phase    phase
	asks     int     // under way with it
	doubled  bool    // it was duplicated
	by       *flight // whose answer is being checked
	attempts int     // that failed
	late     bool    // in this lap, an attempt was cut off
	laps     int     // how often all holders were tried in vain, one of them cut off
	pauses   int     // how often no holder could be asked
	tried    []Peer  // in this lap
	refused  error   // some peer, refuser, said that the call is wrong
	refuser  Peer
	last     error     // of the last failed attempt
	lackAt   time.Time // since when no holder could be asked
	retryAt  time.Time // not to be planned before
}

func newRound(r *Router) *round {
	return &round{router: r, inbox: newInbox()}
}

// begin prepares for calls. What the round before has given is forgotten, and if
// it was lent, its memory goes back.
func (w *round) begin(ctx context.Context, in expert.Batch, calls []expert.Call, sum bool) {
	for _, done := range w.done {
		done()
	}
	clear(w.done)
	w.done = w.done[:0]
	w.ctx, w.in, w.began = ctx, in, time.Now()
	w.over.Store(false)
	w.once.again()
	holders, excluded := sized(w.work.Holders, len(calls)), sized(w.work.Excluded, len(calls))
	clear(holders)
	for c := range excluded {
		excluded[c] = excluded[c][:0]
	}
	w.work = Work{Rows: in.Rows, Dim: in.Dim, Sum: sum, Calls: calls, Hedge: w.router.cfg.Policy.Hedge, Holders: holders, Excluded: excluded}
	w.calls = sized(w.calls, len(calls))
	w.optional = false
	for c := range w.calls {
		w.calls[c] = callState{tried: w.calls[c].tried[:0]}
		w.optional = w.optional || calls[c].Optional
	}
	if len(calls) > 0 {
		w.work.Kind = w.router.cfg.Kind(calls[0].Expert)
	}
	w.open, w.flying, w.remote, w.away, w.askedAt, w.err = len(calls), 0, false, 0, time.Time{}, nil
	w.parts, w.held = w.parts[:0], w.held[:0]
	w.results = w.results[:0]
	if !sum {
		w.results = sized(w.results, len(calls))
		clear(w.results)
	}
	w.free, w.flights = append(w.free, w.flights...), w.flights[:0]
}

// sized is a slice of n elements, in s's memory if that has room.
func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// run returns when every call is answered or given up and no attempt is under
// way any more: from then on nobody reads the batch.
func (w *round) run() {
	w.claimLocal()
	for fresh := true; ; fresh = false {
		w.settleAll()
		if w.open == 0 {
			break
		}
		wake := w.place()
		if fresh && len(w.mine.ask.calls) > 0 {
			w.startLocal()
			continue
		}
		now := time.Now()
		wake = sooner(wake, w.hedge(now))
		wake = sooner(wake, w.dropLate(now))
		wake = sooner(wake, w.cutOff(now))
		if w.open == 0 {
			break
		}
		w.await(wake)
	}
	w.over.Store(true)
	if w.cancel != nil {
		w.cancel()
		w.attempts, w.cancel = nil, nil
	}
	for _, f := range w.asks {
		f.halt(context.Canceled)
	}
	for w.settleAll(); w.flying > 0; w.settleAll() {
		if w.inbox.rest(nap{}) {
			<-w.inbox.some
		}
	}
	w.count()
}

// end leaves the round as memory for the next one, without anybody's rows.
func (w *round) end() {
	w.ctx, w.in, w.work.Calls, w.mine = nil, expert.Batch{}, nil, outcome{ask: w.mine.ask}
	for _, f := range w.flights {
		f.land()
	}
	clear(w.parts)
	clear(w.own)
}

// cancellable is a context that ends with the round.
func (w *round) cancellable() context.Context {
	if w.cancel == nil {
		w.attempts, w.cancel = context.WithCancel(w.ctx)
	}
	return w.attempts
}

// ended says whether an error is to be expected of what is under way, since nobody
// wants it any more.
func (w *round) ended() bool { return w.over.Load() || w.ctx.Err() != nil }

// settleAll takes in what has come.
func (w *round) settleAll() {
	for o := w.inbox.take(); o != nil; o = w.inbox.take() {
		w.settle(o)
	}
}

// await waits for the next event: an outcome, the moment to look again (zero:
// there is none), or the end of the call. An alarm that is set for an earlier
// moment than is wanted is left alone: then the round looks once more.
func (w *round) await(wake time.Time) {
	if !wake.IsZero() {
		w.setAlarm(wake)
	}
	if !w.inbox.rest(w.patience()) {
		return
	}
	select {
	case <-w.inbox.some:
	case <-w.ctx.Done():
		for c := range w.calls {
			w.giveUp(c, fmt.Errorf("%v: %w", w.work.Calls[c].Expert, w.ctx.Err()))
		}
	}
}

// patience says how long answers may wait for the others: not where something
// follows from each, as from the first of two for the same call, or where what is
// under way is no ask.
func (w *round) patience() (s nap) {
	if w.optional || len(w.asks) < w.flying {
		return s
	}
	s.patient = true
	for _, f := range w.asks {
		if f.hedge {
			return nap{}
		}
		if at := f.began.Add(f.expected); at.After(s.until) {
			s.until = at
		}
	}
	return s
}

// setAlarm makes sure that the round looks again at the given time at the latest.
// An alarm is left from round to round: mostly they are over long before it rings.
func (w *round) setAlarm(at time.Time) {
	now := time.Now()
	switch {
	case w.alarm == nil:
		w.alarm = time.AfterFunc(at.Sub(now), w.inbox.ring)
	case !w.alarmAt.After(now) || at.Before(w.alarmAt):
		w.alarm.Reset(at.Sub(now))
	default:
		return
	}
	w.alarmAt = at
}

// giveUp ends a call without a result. A sum without all its calls is none,
// so there it ends the others too.
func (w *round) giveUp(c int, err error) {
	if w.calls[c].phase >= answered {
		return
	}
	w.calls[c].phase = given
	w.open--
	if !w.work.Sum {
		w.results[c].Err = err
		return
	}
	if w.err == nil {
		w.err = err
		for other := range w.calls {
			w.giveUp(other, err)
		}
	}
}

// again makes a call wait for its next attempt, at another holder if there is
// one.
func (w *round) again(c int, from Peer, why error) {
	s := &w.calls[c]
	s.phase, s.last = waiting, why
	s.attempts++
	if from != "" {
		s.tried = append(s.tried, from)
	}
}

// listDue lists the calls to be planned now, and when the next of the others is.
func (w *round) listDue(now time.Time) (next time.Time) {
	w.due = w.due[:0]
	for c := range w.calls {
		s := &w.calls[c]
		switch {
		case s.phase != waiting:
		case !s.retryAt.After(now):
			w.due = append(w.due, c)
		default:
			next = sooner(next, s.retryAt)
		}
	}
	return next
}

// count adds the round to the totals.
func (w *round) count() {
	r := w.router
	r.mu.Lock()
	defer r.mu.Unlock()
	w.countAway()
	switch {
	case len(w.calls) == 0:
	case w.remote:
		r.mu.totals.Rounds++
		r.mu.totals.Round.Add(time.Since(w.began))
	default:
		r.mu.totals.LocalRounds++
	}
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

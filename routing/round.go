package routing

import (
	"context"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// round sees the calls of one layer through. One goroutine owns it, the one
// that called Apply or Sum; attempts end with an outcome in its inbox.
type round struct {
	router *Router
	work   Work
	in     expert.Batch
	calls  []callState
	began  time.Time

	open    int       // calls neither answered nor given up
	flying  int       // attempts and checks under way, the local attempt included
	asks    []*flight // the attempts at peers among them
	inbox   *inbox
	askedAt time.Time     // when Missing was last called
	alarm   *time.Timer   // nil: none was needed yet
	alarmAt time.Time     // when it rings; zero: it does not
	remote  bool          // some peer was asked
	away    time.Duration // what the slowest answer used spent on the network

	results []expert.Result // one per call; without Sum
	parts   []part          // with Sum
	held    []outcome       // with Sum: good answers that may not be needed
	err     error           // with Sum: why there is none
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

func newRound(r *Router, in expert.Batch, calls []expert.Call, sum bool) *round {
	w := &round{
		router: r,
		work: Work{Rows: in.Rows, Dim: in.Dim, Sum: sum, Calls: calls, Hedge: r.cfg.Policy.Hedge,
			Holders: make([][]int32, len(calls)), Excluded: make([][]int32, len(calls))},
		in:    in,
		calls: make([]callState, len(calls)),
		began: time.Now(),
		open:  len(calls),
		inbox: newInbox(),
	}
	if len(calls) > 0 {
		w.work.Kind = r.cfg.Kind(calls[0].Expert)
	}
	if !sum {
		w.results = make([]expert.Result, len(calls))
	}
	return w
}

// run returns when every call is answered or given up and no attempt is under
// way any more: from then on nobody reads the batch.
func (w *round) run(ctx context.Context) {
	attempts, cancel := context.WithCancel(ctx)
	mine := w.claimLocal()
	for w.open > 0 {
		wake := w.place(attempts)
		if mine != nil {
			w.startLocal(attempts, mine)
			mine = nil
			continue
		}
		now := time.Now()
		wake = sooner(wake, w.hedge(attempts, now))
		wake = sooner(wake, w.dropLate(now))
		wake = sooner(wake, w.cutOff(now))
		if w.open == 0 {
			break
		}
		w.await(ctx, attempts, wake)
	}
	cancel()
	for _, f := range w.asks {
		f.halt(context.Canceled)
	}
	for w.flying > 0 {
		if o, ok := w.inbox.take(); ok {
			w.settle(attempts, o)
		} else {
			<-w.inbox.some
		}
	}
	if w.alarm != nil {
		w.alarm.Stop()
	}
	w.count()
}

// await takes in the next event: an outcome, the moment to plan again (zero:
// there is none), or the end of ctx. An alarm that is set for an earlier moment
// than is wanted is left alone: then the round looks once more.
func (w *round) await(ctx, attempts context.Context, wake time.Time) {
	if o, ok := w.inbox.take(); ok {
		w.settle(attempts, o)
		return
	}
	var alarm <-chan time.Time
	if !wake.IsZero() {
		alarm = w.setAlarm(wake)
	}
	select {
	case <-w.inbox.some:
		if o, ok := w.inbox.take(); ok {
			w.settle(attempts, o)
		}
	case <-alarm:
		w.alarmAt = time.Time{}
	case <-ctx.Done():
		for c := range w.calls {
			w.giveUp(c, fmt.Errorf("%v: %w", w.work.Calls[c].Expert, ctx.Err()))
		}
	}
}

// setAlarm makes sure that the alarm rings at the given time at the latest.
func (w *round) setAlarm(at time.Time) <-chan time.Time {
	switch {
	case w.alarm == nil:
		w.alarm = time.NewTimer(time.Until(at))
	case w.alarmAt.IsZero() || at.Before(w.alarmAt):
		w.alarm.Reset(time.Until(at))
	default:
		return w.alarm.C
	}
	w.alarmAt = at
	return w.alarm.C
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

// due lists the calls to be planned now, and when the next of the others is.
func (w *round) due(now time.Time) (due []int, next time.Time) {
	for c := range w.calls {
		s := &w.calls[c]
		switch {
		case s.phase != waiting:
		case !s.retryAt.After(now):
			due = append(due, c)
		default:
			next = sooner(next, s.retryAt)
		}
	}
	return due, next
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

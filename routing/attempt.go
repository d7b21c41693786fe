package routing

import (
	"context"
	"errors"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// outcome is how an attempt ended.
type outcome struct {
	ask    ask // ask.peer is empty for the local experts
	began  time.Time
	took   time.Duration
	answer Answer
	err    error
	kind   Failure // of err
}

// start begins an ask in its own goroutine, which ends with an outcome.
func (w *round) start(ctx context.Context, a ask) {
	w.flying++
	w.remote = true
	calls := make([]expert.Call, len(a.calls))
	for i, c := range a.calls {
		calls[i] = w.work.Calls[c]
	}
	go func() {
		own, cancel := context.WithTimeout(ctx, a.limit)
		defer cancel()
		o := outcome{ask: a, began: time.Now()}
		sent := Ask{In: w.in, Calls: calls, Sum: w.work.Sum}
		o.answer, o.err = w.router.cfg.Caller.Call(own, a.peer, sent)
		o.took = time.Since(o.began)
		if o.err == nil {
			o.err = checkAnswer(&sent, &o.answer)
		}
		if o.err != nil {
			o.kind = blame(ctx, own, o.err)
		}
		w.done <- o
	}()
}

// settle takes in an outcome: answered calls are done, the others wait for
// their next attempt.
func (w *round) settle(ctx context.Context, o outcome) {
	w.flying--
	if o.ask.peer == "" {
		w.settleLocal(o)
		return
	}
	errs := make([]error, len(o.ask.calls)) // by call of the ask
	worst := o.kind                         // Cancelled, the mildest, if there was no error
	good := 0
	for i := range errs {
		errs[i] = o.err
		if o.err == nil && !w.work.Sum {
			errs[i] = o.answer.Results[i].Err
		}
		if errs[i] == nil {
			good++
		} else if o.err == nil {
			worst = max(worst, blame(ctx, ctx, errs[i]))
		}
	}
	w.learnFrom(o, errs, good, worst)
	w.deliver(o, errs)
	w.blameRefusers(o)
	for i, c := range o.ask.calls {
		if errs[i] != nil && w.calls[c].phase == flying {
			w.calls[c].late = w.calls[c].late || o.kind == Straggled
			w.retry(c, o.ask.peer, errs[i])
		}
	}
}

// retry makes a call wait for another holder. A single peer that says the
// call is wrong may be wrong itself, or lie; two are believed.
func (w *round) retry(c int, from Peer, err error) {
	if errors.Is(err, expert.ErrBadCall) {
		if w.calls[c].refused != nil {
			w.giveUp(c, err)
			return
		}
		w.calls[c].refused, w.calls[c].refuser = err, from
	}
	w.again(c, from, err)
	if w.calls[c].attempts >= maxAttempts {
		w.giveUp(c, w.noHolder(c))
	}
}

// deliver keeps the good answers of an outcome. Of a sum, all or nothing.
func (w *round) deliver(o outcome, errs []error) {
	if w.work.Sum && (o.err != nil || !w.allFlying(o.ask.calls)) {
		return
	}
	for i, c := range o.ask.calls {
		if errs[i] == nil && w.calls[c].phase == flying {
			w.calls[c].phase = answered
			w.open--
			if !w.work.Sum {
				w.results[c] = o.answer.Results[i]
			}
		}
	}
	if w.work.Sum {
		w.parts = append(w.parts, part{peer: o.ask.peer, calls: o.ask.calls, sum: o.answer.Sum})
	}
}

func (w *round) allFlying(calls []int) bool {
	for _, c := range calls {
		if w.calls[c].phase != flying {
			return false
		}
	}
	return true
}

// learnFrom updates what is known of the peer.
func (w *round) learnFrom(o outcome, errs []error, good int, worst Failure) {
	r, now := w.router, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, rec := r.mu.table.find(o.ask.peer) // never nil: it was not idle
	e.flying.Calls -= o.ask.size.Calls
	e.flying.Rows -= o.ask.size.Rows
	sample := Sample{Size: o.ask.size, Took: o.took, Queued: o.answer.Queued, Compute: o.answer.Compute, Waiting: o.answer.Waiting}
	if good > 0 {
		e.Observe(sample, now)
		rec.attempts++
		rec.bytesOut += int64(o.answer.BytesOut)
		rec.bytesIn += int64(o.answer.BytesIn)
		r.mu.totals.BytesOut += int64(o.answer.BytesOut)
		r.mu.totals.BytesIn += int64(o.answer.BytesIn)
	}
	for i, c := range o.ask.calls {
		if errs[i] == nil {
			rec.calls++
			rec.rows += len(w.work.Calls[c].Rows)
			r.mu.totals.RemoteCalls++
		}
	}
	if good == len(errs) {
		return
	}
	rec.failures[worst]++
	if worst == Cancelled {
		return
	}
	r.mu.totals.Failovers++
	rest := w.punish(e, o, errs, worst, sample, now)
	r.cfg.Log.Debug("attempt failed; its calls move", "peer", o.ask.peer, "kind", worst, "calls", len(errs)-good,
		"took", o.took, "rest", rest, "err", firstError(errs))
}

// punish draws the consequence of a failure and says how long the peer is
// left alone.
func (w *round) punish(e *Estimate, o outcome, errs []error, worst Failure, s Sample, now time.Time) time.Duration {
	r := w.router
	for i, c := range o.ask.calls {
		id := w.work.Calls[c].Expert
		if errs[i] != nil && denies(errs[i], id) {
			r.mu.table.deny(id, o.ask.peer, now)
		}
	}
	switch worst {
	case UnknownHere: // only that holding is in doubt
		return 0
	case BadCall: // who is wrong shows when another peer answers, see blameRefusers
		return 0
	case Overloaded:
		return e.Refuse(retryAfter(firstError(errs)), now)
	case BadResult:
		r.cfg.Log.Warn("a peer sent a bad result; leaving it alone", "peer", o.ask.peer, "err", firstError(errs))
		return e.Lie(now)
	case Straggled:
		e.Late(s.Size, s.Took, now)
	}
	return e.Fail(o.began, now, r.cfg.Policy)
}

// blameRefusers punishes those who called a call wrong that another peer has
// now answered. Not before: a call that really is wrong must not cost every
// peer that says so its standing.
func (w *round) blameRefusers(o outcome) {
	r := w.router
	for _, c := range o.ask.calls {
		s := &w.calls[c]
		if s.phase != answered || s.refuser == "" {
			continue
		}
		r.mu.Lock()
		if e, _ := r.mu.table.find(s.refuser); e != nil {
			e.Fail(w.began, time.Now(), r.cfg.Policy)
		}
		r.mu.Unlock()
		s.refuser = ""
	}
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// denies says whether an error means that the peer does not hold this expert.
// An error about a whole frame may name the one expert it is about.
func denies(err error, id expert.ID) bool {
	if !errors.Is(err, expert.ErrUnknownExpert) && !errors.Is(err, expert.ErrNoHolder) {
		return false
	}
	var named interface{ UnknownExpert() (uint16, bool) }
	if errors.As(err, &named) {
		if index, ok := named.UnknownExpert(); ok {
			return index == id.Index
		}
	}
	return true
}

package routing

import (
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// outcome is how an attempt ended, or the check of its answer.
type outcome struct {
	ask     *ask
	flight  *flight // nil: the experts held here were asked
	began   time.Time
	took    time.Duration
	answer  Answer
	err     error
	kind    Failure // of err
	outrun  bool    // it was cancelled since its calls had been answered
	checked bool    // this is the verdict of Config.Check on an answer accepted before
}

// settle takes in an outcome: answered calls are done, the others wait for
// their next attempt.
func (w *round) settle(o *outcome) {
	w.flying--
	switch {
	case o.checked:
		w.judge(o)
		return
	case o.flight == nil:
		w.settleLocal(o)
		return
	}
	w.landed(o.flight)
	if w.lent && o.answer.Done != nil {
		w.done = append(w.done, o.answer.Done)
	}
	errs := w.learnFrom(o)
	w.deliver(o, errs)
	for i, c := range o.ask.calls {
		if errs[i] != nil && !o.outrun && w.calls[c].phase == flying {
			w.calls[c].late = w.calls[c].late || o.kind == Straggled
			w.retry(c, o.ask.peer, errs[i])
		}
	}
	w.settleHeld()
	w.blameRefusers(o)
	w.cancelOutrun()
}

// errors lists how the calls of an outcome ended, how many well, and the worst that
// the peer is to be blamed for.
func (w *round) errors(o *outcome) (errs []error, good int, worst Failure) {
	w.errs = sized(w.errs, len(o.ask.calls))
	worst = o.kind // Cancelled, the mildest, if there was no error
	for i := range w.errs {
		w.errs[i] = o.err
		if o.err == nil && !w.work.Sum {
			w.errs[i] = o.answer.Results[i].Err
		}
		if w.errs[i] == nil {
			good++
		} else if o.err == nil {
			worst = max(worst, blame(w.ended(), nil, w.errs[i]))
		}
	}
	return w.errs, good, worst
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
	if w.again(c, from, err); w.calls[c].asks > 0 {
		w.calls[c].phase = flying // a duplicate is still under way
		return
	}
	if w.calls[c].attempts >= maxAttempts {
		w.giveUp(c, w.noHolder(c))
	}
}

// learnFrom updates what is known of the peer, and says how the calls ended, in the
// order of the ask.
func (w *round) learnFrom(o *outcome) (errs []error) {
	r, now := w.router, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, rec := r.mu.table.find(o.ask.peer) // never nil: it was not idle
	if o.err == nil && e.excluded {
		o.err, o.kind = fmt.Errorf("%w: from a peer found to give wrong answers meanwhile", expert.ErrBadResult), BadResult
	}
	errs, good, worst := w.errors(o)
	e.flying.Calls -= o.ask.size.Calls
	e.flying.Rows -= o.ask.size.Rows
	sample := Sample{Size: o.ask.size, Took: o.took, Expected: o.ask.expected, Queued: o.answer.Queued, Compute: o.answer.Compute, Waiting: o.answer.Waiting}
	if good > 0 {
		e.Observe(sample, now)
		rec.attempts++
		rec.bytesOut += int64(o.answer.BytesOut)
		rec.bytesIn += int64(o.answer.BytesIn)
		r.mu.totals.BytesOut += int64(o.answer.BytesOut)
		r.mu.totals.BytesIn += int64(o.answer.BytesIn)
		if o.answer.Half {
			r.mu.totals.HalfAnswers++
		}
	}
	for i, c := range o.ask.calls {
		if errs[i] == nil {
			rec.calls++
			rec.rows += len(w.work.Calls[c].Rows)
			r.mu.totals.RemoteCalls++
		}
	}
	perCall, perRow := o.ask.size.Kind.prior()
	reference := seconds(float64(o.ask.size.Calls)*perCall + float64(o.ask.size.Rows)*perRow)
	switch {
	case good > 0:
		rec.reputation = rec.reputation.Answered(true, o.answer.Compute, reference, now)
	case o.outrun && o.took > o.ask.tail, worst == Straggled:
		rec.reputation = rec.reputation.Answered(false, 0, 0, now)
	case worst == Unreachable:
		rec.reputation = rec.reputation.Met(false, now)
	}
	e.trust = rec.reputation.handicap()
	if good == len(errs) {
		return errs
	}
	rec.failures[worst]++
	if o.outrun {
		e.Outrun(o.ask.size, o.took, o.ask.expected, now)
	}
	if worst == Cancelled {
		return errs
	}
	r.mu.totals.Failovers++
	rest := w.punish(e, o, errs, worst, sample, now)
	r.cfg.Log.Debug("attempt failed; its calls move", "peer", o.ask.peer, "kind", worst, "calls", len(errs)-good,
		"took", o.took, "rest", rest, "err", firstError(errs))
	return errs
}

// punish draws the consequence of a failure and says how long the peer is
// left alone.
func (w *round) punish(e *Estimate, o *outcome, errs []error, worst Failure, s Sample, now time.Time) time.Duration {
	r := w.router
	for i, c := range o.ask.calls {
		id := w.work.Calls[c].Expert
		if errs[i] != nil && denies(errs[i], id) {
			r.mu.table.deny(id, o.ask.peer, now)
		}
	}
	before := e.Breaker(now)
	defer func() { r.mu.totals.Openings += opened(before, e.Breaker(now)) }()
	switch worst {
	case UnknownHere: // only that holding is in doubt
		return 0
	case BadCall: // who is wrong shows when another peer answers, see blameRefusers
		return 0
	case Overloaded: // back-pressure, not a failure
		return e.Refuse(retryAfter(firstError(errs)), now)
	case BadResult:
		r.cfg.Log.Warn("a peer sent a bad result; leaving it alone", "peer", o.ask.peer, "err", firstError(errs))
		return e.Lie(now)
	case Straggled:
		e.Late(s.Size, s.Took, now)
		if o.ask.lone && o.took < r.cfg.Policy.DeadlineFloor {
			return 0 // all there is to do is to ask it again, at once
		}
	}
	return e.Fail(o.began, now, r.cfg.Policy)
}

// blameRefusers punishes those who called a call wrong that another peer has
// now answered. Not before: a call that really is wrong must not cost every
// peer that says so its standing.
func (w *round) blameRefusers(o *outcome) {
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

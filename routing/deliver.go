package routing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// deliver takes over the good answers of an outcome: the first for each call.
func (w *round) deliver(o *outcome, errs []error) {
	switch {
	case w.work.Sum && o.err == nil:
		w.deliverSum(o)
		return
	case w.work.Sum && o.outrun:
		w.accept(o, nil, o.ask.size.Rows)
		return
	case w.work.Sum:
		return
	}
	won, wasted := w.won[:0], 0
	for i, c := range o.ask.calls {
		switch {
		case w.calls[c].phase != flying:
			wasted += len(w.work.Calls[c].Rows)
		case errs[i] == nil:
			w.results[c] = o.answer.Results[i]
			won = append(won, c)
		}
	}
	w.won = won
	w.accept(o, won, wasted)
}

// deliverSum takes over a sum: all of it or nothing. A duplicate that covers
// only some calls of an attempt is held back while the whole attempt may still
// answer, until its other duplicates have answered too.
func (w *round) deliverSum(o *outcome) {
	for _, c := range o.ask.calls {
		if p := w.calls[c].phase; p != flying && p != held {
			w.accept(o, nil, o.ask.size.Rows)
			return
		}
	}
	// An attempt contains its duplicates: those held back are not needed now.
	w.held = slices.DeleteFunc(w.held, func(h *outcome) bool { return slices.Contains(o.ask.calls, h.ask.calls[0]) })
	for _, c := range o.ask.calls {
		w.calls[c].phase = held
	}
	w.held = append(w.held, o)
}

// settleHeld accepts the sums held back that nothing under way can make
// better use of.
func (w *round) settleHeld() {
	if len(w.held) == 0 {
		return
	}
	blocked := func(h *outcome) bool {
		return slices.ContainsFunc(w.asks, func(f *flight) bool {
			return slices.ContainsFunc(f.calls, func(c int) bool { return slices.Contains(h.ask.calls, c) }) &&
				slices.ContainsFunc(f.calls, func(c int) bool { return w.calls[c].phase == flying })
		})
	}
	w.held = slices.DeleteFunc(w.held, func(h *outcome) bool {
		if blocked(h) {
			return false
		}
		w.accept(h, h.ask.calls, 0)
		return true
	})
}

// accept ends calls with the answer of an outcome, once it is checked.
func (w *round) accept(o *outcome, calls []int, wasted int) {
	r := w.router
	won := o.ask.hedge && len(calls) > 0
	if o.flight != nil && (wasted > 0 || won) {
		r.mu.Lock()
		r.mu.totals.WastedRows += wasted
		if won {
			r.mu.totals.HedgesWon++
		}
		r.mu.Unlock()
	}
	if len(calls) == 0 {
		return
	}
	w.noteAway(o)
	if w.work.Sum {
		w.parts = append(w.parts, part{peer: o.ask.peer, calls: o.ask.calls, sum: o.answer.Sum})
	}
	var check func() error
	if r.cfg.Check != nil && o.flight != nil {
		ctx := w.ctx
		if w.work.Sum { // it may be over before its checks are
			ctx = w.cancellable()
		}
		check = r.cfg.Check(ctx, w.checked(o))
	}
	if check == nil {
		for _, c := range calls {
			w.calls[c].phase = answered
			w.open--
		}
		return
	}
	for _, c := range calls {
		w.calls[c].phase, w.calls[c].by = checking, o.flight
	}
	w.flying++
	w.inbox.expect()
	go func() {
		o.checked = true
		o.err = check()
		w.inbox.put(o, time.Now(), true)
	}()
}

// checked is an answer as checks see it.
func (w *round) checked(o *outcome) Checked {
	seen := Checked{Peer: o.ask.peer, In: w.in, Results: o.answer.Results, Signed: o.answer.Signed, Calls: o.flight.sent.Calls}
	if w.work.Sum {
		seen.Results, seen.Sum, seen.Signed = nil, &o.answer.Sum, nil
	}
	return seen
}

// judge takes in the verdict on an answer that was accepted: calls whose
// answer is wrong are done again elsewhere.
func (w *round) judge(o *outcome) {
	if o.err != nil && !w.ended() {
		w.router.wrong(o)
		w.parts = slices.DeleteFunc(w.parts, func(p part) bool { return p.calls[0] == o.ask.calls[0] })
	}
	for _, c := range o.ask.calls {
		s := &w.calls[c]
		switch {
		case s.phase != checking || s.by != o.flight:
		case o.err == nil:
			s.phase = answered
			w.open--
		case w.ended():
			w.giveUp(c, fmt.Errorf("%v: %w", w.work.Calls[c].Expert, cmp.Or(w.ctx.Err(), context.Canceled)))
		default:
			if !w.work.Sum {
				w.results[c] = expert.Result{}
			}
			w.retry(c, o.ask.peer, fmt.Errorf("%w: %v: %w", expert.ErrBadResult, w.work.Calls[c].Expert, o.err))
		}
	}
	w.blameRefusers(o)
}

package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// claimLocal takes the calls whose experts are held here.
func (w *round) claimLocal() {
	if w.mine.ask == nil {
		w.mine.ask = new(ask)
	}
	mine := w.mine.ask.calls[:0]
	for c := range w.work.Calls {
		if w.router.cfg.LocalHolds(w.work.Calls[c].Expert) {
			mine = append(mine, c)
			w.calls[c].phase = flying
		}
	}
	*w.mine.ask = ask{calls: mine}
	w.mine = outcome{ask: w.mine.ask}
}

// inlineRows is how many rows of experts held here are computed by the round's
// own goroutine: a decoding step's. With more, peers' answers are long enough to be
// read meanwhile.
const inlineRows = 16

// startLocal begins with the experts held here, once the attempts at peers have
// been started: this work may keep every processor for longer than a frame takes
// to write. They are computed while peers work on the others, in this goroutine
// where it has nothing to do meanwhile.
func (w *round) startLocal() {
	w.flying++
	mine := w.mine.ask.calls
	rows, watch := 0, false
	for _, c := range mine {
		rows += len(w.work.Calls[c].Rows)
	}
	for _, f := range w.asks {
		watch = watch || len(f.hedges) > 0
	}
	if len(mine) == len(w.calls) || rows <= inlineRows && !watch {
		if len(w.asks) > 0 { // what sends their frames goes first: this place is in C soon
			runtime.Gosched()
		}
		w.applyLocal(w.ctx)
		w.settle(&w.mine)
		return
	}
	w.inbox.expect()
	ctx := w.cancellable()
	go func() {
		runtime.Gosched()
		w.applyLocal(ctx)
		w.inbox.put(&w.mine, time.Now(), true)
	}()
}

// applyLocal computes calls with the experts held here.
func (w *round) applyLocal(ctx context.Context) {
	o := &w.mine
	o.began = time.Now()
	a := Ask{In: w.in, Calls: w.work.Calls, Sum: w.work.Sum}
	if mine := o.ask.calls; len(mine) < len(a.Calls) {
		w.own = sized(w.own, len(mine))
		for i, c := range mine {
			w.own[i] = w.work.Calls[c]
		}
		a.Calls = w.own
	}
	switch local := w.router.cfg.Local; {
	case w.work.Sum:
		o.answer.Sum, o.err = sumLocally(ctx, local, w.in, a.Calls)
	case w.lent:
		o.answer.Results = expert.ApplyIn(ctx, local, w.in, a.Calls, &w.local)
	default:
		o.answer.Results = local.Apply(ctx, w.in, a.Calls)
	}
	if o.err == nil {
		o.err = checkAnswer(&a, &o.answer)
	}
}

// settleLocal takes in the local outcome. Experts that are not there after
// all (a holding may have been given up meanwhile) are asked of peers.
func (w *round) settleLocal(o *outcome) {
	w.errs = sized(w.errs, len(o.ask.calls))
	errs, done := w.errs, 0
	for i, c := range o.ask.calls {
		errs[i] = o.err
		if o.err == nil && !w.work.Sum {
			errs[i] = o.answer.Results[i].Err
		}
		switch err := errs[i]; {
		case err == nil:
			done++
		case w.calls[c].phase != flying:
		case errors.Is(err, expert.ErrBadCall), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			w.giveUp(c, err)
		default:
			w.router.cfg.Log.Warn("an expert held here failed; asking peers", "expert", w.work.Calls[c].Expert, "err", err)
			w.again(c, "", err)
		}
	}
	w.deliver(o, errs)
	w.settleHeld()
	w.router.mu.Lock()
	w.router.mu.totals.LocalCalls += done
	w.router.mu.Unlock()
}

// sumLocally sums with an Applier that may not know how.
func sumLocally(ctx context.Context, a expert.Applier, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	if s, ok := a.(expert.Summer); ok {
		return s.Sum(ctx, in, calls)
	}
	results := a.Apply(ctx, in, calls)
	if len(results) != len(calls) {
		return expert.Batch{}, fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(results), len(calls))
	}
	return expert.SumResults(in, calls, results)
}

// part is a partial sum.
type part struct {
	peer  Peer // empty: from here
	calls []int
	sum   expert.Batch
}

// total adds the partial sums, the local one first, then by the peers' names:
// an order that does not depend on who answered first. Only rows that a
// part's calls name are read.
func (w *round) total() expert.Batch {
	slices.SortFunc(w.parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.peer, b.peer), cmp.Compare(a.calls[0], b.calls[0]))
	})
	if len(w.parts) == 1 && len(w.calls) == len(w.parts[0].calls) && w.parts[0].peer == "" {
		return w.parts[0].sum
	}
	out := expert.NewBatch(w.in.Rows, w.in.Dim)
	named := make([]bool, w.in.Rows)
	for _, p := range w.parts {
		clear(named)
		for _, c := range p.calls {
			for _, r := range w.work.Calls[c].Rows {
				if !named[r] {
					named[r] = true
					expert.AddScaled(1, p.sum.Row(int(r)), out.Row(int(r)))
				}
			}
		}
	}
	return out
}

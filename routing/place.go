package routing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// place plans the calls that wait and starts their attempts. It returns when
// to try those again that could not be placed, zero if there are none.
func (w *round) place(ctx context.Context) (wake time.Time) {
	now := time.Now()
	due, wake := w.due(now)
	if len(due) == 0 {
		return wake
	}
	listed := make([][]Peer, len(due))
	if d := w.router.cfg.Directory; d != nil {
		for i, c := range due {
			listed[i] = d.Holders(w.work.Calls[c].Expert)
		}
	}
	asks, missing := w.plan(due, listed, now)
	for _, a := range asks {
		w.start(ctx, a)
	}
	if len(missing) > 0 && w.open > 0 && now.Sub(w.askedAt) >= askMissing {
		w.askedAt = now
		w.router.cfg.Log.Warn("experts without a holder; looking for one", "model", missing[0].Model.Short(), "experts", fmt.Sprint(missing))
		w.router.cfg.Missing(missing)
	}
	for _, c := range due {
		if s := &w.calls[c]; s.phase == waiting {
			wake = sooner(wake, s.retryAt)
		}
	}
	return wake
}

// ask is an attempt, or a part of a large one, ready to start.
type ask struct {
	peer  Peer
	calls []int
	size  Size
	limit time.Duration
}

// plan decides under the router's lock, so that what other rounds have under
// way counts and what this one starts is counted.
func (w *round) plan(due []int, listed [][]Peer, now time.Time) (asks []ask, missing []expert.ID) {
	r := w.router
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.mu.table
	t.learnAll(w.work.Calls, due, listed, now)
	for _, c := range due {
		w.work.Holders[c] = t.holders(w.work.Calls[c].Expert, now)
		w.work.Excluded[c] = w.work.Excluded[c][:0]
		for _, p := range w.calls[c].tried {
			if n, ok := t.index[p]; ok {
				w.work.Excluded[c] = append(w.work.Excluded[c], n)
			}
		}
	}
	w.work.Place = due
	attempts, left := r.mu.planner.plan(w.work, t.estimates, now, r.cfg.Policy.Seed)
	for _, a := range attempts {
		for calls := a.Calls; len(calls) > 0; {
			n := w.work.fitting(calls)
			asks = append(asks, w.register(a.Peer, calls[:n], now))
			calls = calls[n:]
		}
	}
	for _, c := range left {
		if w.lack(c, t, now) {
			missing = append(missing, w.work.Calls[c].Expert)
		}
	}
	return asks, missing
}

// fitting is how many of the calls go into one ask: at least one.
func (w *Work) fitting(calls []int) int {
	for n := range calls {
		s := w.size(calls[:n+1])
		if n > 0 && (s.Bytes > maxAskBytes || 4*w.Dim*s.Rows > maxAskWork) {
			return n
		}
	}
	return len(calls)
}

// register counts an ask as under way.
func (w *round) register(peer Peer, calls []int, now time.Time) ask {
	a := ask{peer: peer, calls: append([]int(nil), calls...), size: w.work.size(calls)}
	r := w.router
	e, rec := r.mu.table.find(peer)
	laps := 0
	for _, c := range calls {
		s := &w.calls[c]
		s.phase = flying
		laps = max(laps, s.laps)
		if s.attempts > 0 {
			rec.retries++
		}
	}
	a.limit = r.cfg.Policy.deadline(e.Expected(a.size, now), laps)
	e.flying.Calls += a.size.Calls
	e.flying.Rows += a.size.Rows
	r.mu.table.sawSize(a.size)
	r.mu.totals.Attempts++
	return a
}

// lack deals with a call that no holder can be asked for now: it gives up
// when that has lasted too long, otherwise it sets when to look again. It
// says whether the swarm should be searched: not for holders that merely have
// a full queue.
func (w *round) lack(c int, t *table, now time.Time) (missing bool) {
	s := &w.calls[c]
	if s.refused != nil {
		w.giveUp(c, s.refused)
		return false
	}
	if s.lackAt.IsZero() {
		s.lackAt = now
	}
	end := s.lackAt.Add(t.policy.MissingWait)
	if !now.Before(end) || w.router.cfg.Directory == nil {
		w.giveUp(c, w.noHolder(c))
		w.router.mu.totals.Missing++
		return false
	}
	if s.tried = s.tried[:0]; s.late {
		s.late = false
		s.laps++
	}
	s.pauses++
	pause := doubled(retryLeast, retryMost, s.pauses-1)
	missing = true
	for _, h := range w.work.Holders[c] {
		e := &t.estimates[h]
		missing = missing && e.Suspect()
		pause = min(pause, max(e.Resting(now), retryLeast))
	}
	s.retryAt = sooner(now.Add(pause), end)
	return missing
}

func (w *round) noHolder(c int) error {
	id, s := w.work.Calls[c].Expert, &w.calls[c]
	if s.last != nil && !errors.Is(s.last, expert.ErrNoHolder) {
		return fmt.Errorf("%w: %v; known holders failed, the last with: %v", expert.ErrNoHolder, id, s.last)
	}
	return fmt.Errorf("%w: %v", expert.ErrNoHolder, id)
}

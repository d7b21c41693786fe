package routing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// place plans the calls that wait and starts their attempts. It returns when
// to try those again that could not be placed, zero if there are none.
func (w *round) place() (wake time.Time) {
	now := time.Now()
	wake = w.listDue(now)
	if len(w.due) == 0 {
		return wake
	}
	w.listed = sized(w.listed, len(w.due))
	clear(w.listed)
	if d := w.router.cfg.Directory; d != nil {
		for i, c := range w.due {
			w.listed[i] = d.Holders(w.work.Calls[c].Expert)
		}
	}
	before := len(w.flights)
	missing := w.plan(now)
	for _, f := range w.flights[before:] {
		w.start(f)
	}
	if len(missing) > 0 && w.open > 0 && now.Sub(w.askedAt) >= askMissing {
		w.askedAt = now
		w.router.cfg.Log.Info("experts without a holder; looking for one", "model", missing[0].Model.Short(), "experts", fmt.Sprint(missing))
		w.router.cfg.Missing(missing)
	}
	for _, c := range w.due {
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

	expected, tail, limit time.Duration // when it should be answered, when it is late, when cut off

	lone   bool      // no other holder could do its work
	hedge  bool      // it duplicates another
	hedges []pending // its own duplicates
}

// plan decides under the router's lock, so that what other rounds have under
// way counts and what this one starts is counted. The asks are flights to start.
func (w *round) plan(now time.Time) (missing []expert.ID) {
	r := w.router
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.mu.table
	t.learnAll(w.work.Calls, w.due, w.listed, now)
	w.prepare(w.due, now)
	r.mu.plans++
	w.work.Explore = r.mu.plans%exploring == 0
	attempts, left := r.mu.planner.plan(w.work, t.estimates, now, r.cfg.Policy.Seed)
	before := len(w.flights)
	for _, a := range attempts {
		if a.After > 0 {
			addHedge(w.flights[before:], a, now)
			continue
		}
		for calls := a.Calls; len(calls) > 0; {
			n := w.work.fitting(calls)
			w.register(a.Peer, calls[:n], now)
			calls = calls[n:]
		}
	}
	for _, c := range left {
		if w.lack(c, t, now) {
			missing = append(missing, w.work.Calls[c].Expert)
		}
	}
	return missing
}

// prepare fills in who holds the calls to be planned and whom not to ask.
func (w *round) prepare(calls []int, now time.Time) {
	t := &w.router.mu.table
	for _, c := range calls {
		w.work.Holders[c] = t.holders(w.work.Calls[c].Expert, now)
		w.work.Excluded[c] = w.work.Excluded[c][:0]
		for _, p := range w.calls[c].tried {
			if n, ok := t.index[p]; ok {
				w.work.Excluded[c] = append(w.work.Excluded[c], n)
			}
		}
	}
	w.work.Place = calls
}

// addHedge shares a planned duplicate out over the asks that it duplicates: an
// attempt may have been cut into several.
func addHedge(asks []*flight, h Attempt, now time.Time) {
	for i := range asks {
		var calls []int
		for _, c := range h.Calls {
			if slices.Contains(asks[i].calls, c) {
				calls = append(calls, c)
			}
		}
		if len(calls) > 0 {
			asks[i].hedges = append(asks[i].hedges, pending{peer: h.Peer, calls: calls, after: h.After, at: now.Add(h.After)})
		}
	}
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

// register makes an ask, which counts as under way from now on.
func (w *round) register(peer Peer, calls []int, now time.Time) *flight {
	a := w.newFlight()
	a.peer, a.calls, a.size = peer, append(a.calls, calls...), w.work.size(calls)
	r := w.router
	e, rec := r.mu.table.find(peer)
	laps, spare := 0, true
	for _, c := range calls {
		s := &w.calls[c]
		spare = spare && w.spare(c, peer, now)
		s.phase = flying
		laps = max(laps, s.laps)
		if s.attempts > 0 {
			rec.retries++
		} else if s.asks == 0 {
			r.mu.budget.earn(1, r.cfg.Policy.HedgeBudget)
		}
	}
	a.expected, a.tail = e.Expected(a.size, now), e.Tail(a.size, now)
	a.limit, a.lone = e.Cutoff(a.size, laps, spare, now, r.cfg.Policy), !spare
	e.flying.Calls += a.size.Calls
	e.flying.Rows += a.size.Rows
	r.mu.table.sawSize(a.size)
	r.mu.totals.Attempts++
	return a
}

// spare says whether a healthy peer other than this one could answer the call.
func (w *round) spare(c int, but Peer, now time.Time) bool {
	t := &w.router.mu.table
	for _, h := range w.work.Holders[c] {
		e := &t.estimates[h]
		if e.Peer != but && e.failures == 0 && e.askable(now) && !slices.Contains(w.work.Excluded[c], h) {
			return true
		}
	}
	return false
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
	if w.work.Calls[c].Optional && !w.work.Sum && len(w.work.Holders[c]) == 0 {
		w.dropLocked(c, w.noHolder(c))
		return true
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
		missing = missing && (e.Suspect() || e.excluded)
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

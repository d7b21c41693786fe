package routing

import "time"

// awayRounds is how many rounds the average goes over that Away gives: some tens, a
// token or two. The first ones weigh as much as all before, so that it is not
// far too low while what depends on it is measured.
const awayRounds = 32

// Away is how long a round lately waited for the network alone, on average:
// what its slowest answer took beyond what its holder says it waited and
// worked. Rounds of local experts count as none.
func (r *Router) Away() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.mu.away)
}

// noteAway notes what an answer that was used spent on the network.
func (w *round) noteAway(o *outcome) {
	if o.flight != nil {
		w.away = max(w.away, o.took-o.answer.Queued-o.answer.Compute)
	}
}

// countAway adds the round to the average.
func (w *round) countAway() { w.router.countAwayLocked(w.away) }

func (r *Router) countAwayLocked(away time.Duration) {
	r.mu.rounds = min(r.mu.rounds+1, awayRounds)
	r.mu.away += (float64(away) - r.mu.away) / float64(r.mu.rounds)
}

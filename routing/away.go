package routing

import "time"

// awayWeight is the weight of the latest round in the average that Away gives:
// some tens of rounds, a token or two, make it forget.
const awayWeight = 1. / 32

// Away is how long a round lately waited for the network alone, on average:
// what its slowest answer took beyond what its holder says it waited and
// worked. Rounds of local experts count as none.
func (r *Router) Away() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.mu.away)
}

// noteAway notes what an answer that was used spent on the network.
func (w *round) noteAway(o outcome) {
	if o.ask.peer != "" {
		w.away = max(w.away, o.took-o.answer.Queued-o.answer.Compute)
	}
}

// countAway adds the round to the average.
func (w *round) countAway() {
	a := &w.router.mu.away
	*a += awayWeight * (float64(w.away) - *a)
}

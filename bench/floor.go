package bench

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// trips collects what a network drew for each ask, and what its holder says it
// computed, by layer round.
type trips struct {
	mu     sync.Mutex
	open   []simswarm.Trip
	rounds []time.Duration // of each round, the latest of its trips
	calls  int
	work   time.Duration // of all calls together
}

// saw is a network's observer.
func (t *trips) saw(x simswarm.Trip) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = append(t.open, x)
	t.calls += x.Calls
	t.work += x.Compute
}

// ended closes a round: no router can be done before the latest of the ways
// drawn and the work on it.
func (t *trips) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last time.Duration
	for _, x := range t.open {
		last = max(last, x.Out+x.Compute+x.Back)
	}
	t.rounds, t.open = append(t.rounds, last), t.open[:0]
}

func (t *trips) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds, t.open, t.calls, t.work = t.rounds[:0], t.open[:0], 0, 0
}

// perCall is what a holder computes on one call, on average.
func (t *trips) perCall() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.work / time.Duration(max(1, t.calls))
}

// roundFloor is the median time of a layer's round below which no choice of
// peers can get: over a link without losses, with calls shared out evenly to as
// many of the holders as is best, each of which computes its calls one after the
// other, and a router that takes no time.
func roundFloor(l simswarm.Link, calls, holders int, perCall time.Duration, seed uint64) time.Duration {
	const draws = 4000
	l.Loss, l.Tail = 0, 0
	best := time.Duration(0)
	for k := 1; k <= holders; k++ {
		if k == 1 && holders > 1 {
			continue // no holder has all experts of a round, but once in thirty
		}
		var paths []*simswarm.Path
		for i := range k {
			paths = append(paths, l.Path(seed, "floor", string(holderName(i))))
		}
		r := rand.New(rand.NewPCG(seed, uint64(k)))
		rounds := make([]time.Duration, draws)
		for d := range rounds {
			first := r.IntN(k) // whose share is the larger one
			for i, p := range paths {
				n := calls / k
				if (i+first)%k < calls%k {
					n++
				}
				rounds[d] = max(rounds[d], p.Delay(simswarm.Out, 0, time.Time{})+time.Duration(n)*perCall+p.Delay(simswarm.Back, 0, time.Time{}))
			}
		}
		slices.Sort(rounds)
		if median := rounds[draws/2]; best == 0 || median < best {
			best = median
		}
	}
	return best
}

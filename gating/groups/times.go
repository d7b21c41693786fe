package groups

import (
	"math/bits"
	"time"
)

// Times remembers what steps took by their number of rows, by powers of two:
// what a step would take with nothing in its way. The zero value knows nothing.
type Times [16]stepTime

// stepTime of a step, in seconds; zero rows: unknown.
type stepTime struct {
	rows    float64
	compute float64 // the trunk's own work
	experts float64 // waiting for experts, the network's part of it taken off
}

// Weights of the latest step in the averages. Steps often are in each other's
// way, or in that of other programs: less counts for more.
const (
	weightLess = 0.4
	weightMore = 0.05
)

// Step is what a step took.
type Step struct {
	Rows    int
	Compute time.Duration // the trunk's own work
	Experts time.Duration // waiting for experts
	Away    time.Duration // of that, the network's part
	Alone   bool          // no other step was under way meanwhile
}

func class(rows int) int { return min(bits.Len(uint(max(rows, 1)))-1, len(Times{})-1) }

// Note takes in a step. One that was not alone took longer than it had to, so it
// only says what a step takes at most.
func (t *Times) Note(s Step) {
	now := stepTime{float64(s.Rows), s.Compute.Seconds(), max(s.Experts-s.Away, 0).Seconds()}
	if !s.Alone {
		if compute, experts, ok := t.Of(now.rows); ok && compute+experts <= now.compute+now.experts {
			return
		}
	}
	k := &t[class(s.Rows)]
	if k.rows == 0 {
		*k = now
		return
	}
	w := weightMore
	if now.compute+now.experts < k.compute+k.experts {
		w = weightLess
	}
	k.rows += w * (now.rows - k.rows)
	k.compute += w * (now.compute - k.compute)
	k.experts += w * (now.experts - k.experts)
}

// Of is what a step of so many rows is expected to take, in seconds: on the
// straight line through the two numbers of rows next to it that were measured.
// ok is false when nothing was.
func (t *Times) Of(rows float64) (compute, experts float64, ok bool) {
	var known [len(t)]stepTime
	n := 0
	for _, k := range t {
		if k.rows > 0 {
			known[n] = k
			n++
		}
	}
	if n == 0 {
		return 0, 0, false
	}
	near := 0 // the last with no more rows
	for near+1 < n && known[near+1].rows <= rows {
		near++
	}
	a := known[near]
	other := stepTime{}
	if near+1 < n {
		other = known[near+1]
	} else if near > 0 {
		other = known[near-1]
	}
	outside := rows < a.rows || near+1 == n
	return line(rows, a.rows, a.compute, other.rows, other.compute, outside), line(rows, a.rows, a.experts, other.rows, other.experts, outside), true
}

// line is the value at x of a line that is y at a and z at b; b is 0 where there
// is one point only. Outside of the two it is a guess: some of the nearest's
// does not depend on rows, as weights are read once, and some does; how much is
// taken from the slope, within reason.
func line(x, a, y, b, z float64, outside bool) float64 {
	slope := y / a / 2
	if b > 0 {
		slope = (z - y) / (b - a)
	}
	if outside {
		slope = min(max(slope, y/a/4), y/a)
	}
	return max(y+slope*(x-a), 0)
}

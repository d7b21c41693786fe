package groups

import "math"

// Sharing is how much longer steps take that are under way together than each
// would alone, as far as it was measured. The zero value knows nothing.
//
// It depends on the overlap: the work of all groups' steps, over what one step
// alone takes from end to end. Where the overlap is small, steps hardly meet;
// where whatever they share is always at work, they take in proportion to it.
// That is so for any number of groups, rows and round trips, so what was
// measured for one says something of another.
type Sharing struct {
	seen  [12]seen
	noise float64 // by what part like measurements differ
}

// seen is rounds of so many groups, with steps of so many rows.
type seen struct {
	groups     int // 0: none
	rows       float64
	away, took float64 // seconds
	trust      float64
}

// forget is how much each measurement leaves of the trust in others: what is
// true today need not be so in an hour, and what looked bad is tried again some
// time.
const forget = 0.99

// weightSeen is the weight of the latest of like measurements.
const weightSeen = 0.4

// note takes in a measurement.
func (s *Sharing) note(now seen) {
	at, least := -1, 0
	for i := range s.seen {
		k := &s.seen[i]
		k.trust *= forget
		if k.groups == now.groups && math.Abs(k.rows-now.rows) < now.rows/8 && math.Abs(k.away-now.away) < now.away/8 {
			at = i
		}
		if k.trust < s.seen[least].trust {
			least = i
		}
	}
	if now.trust = 1; at < 0 {
		s.seen[least] = now
		return
	}
	k := &s.seen[at]
	s.noise += weightSeen * (math.Abs(now.took/k.took-1) - s.noise)
	k.rows += weightSeen * (now.rows - k.rows)
	k.away += weightSeen * (now.away - k.away)
	k.took += weightSeen * (now.took - k.took)
	k.trust = 1
}

// overlapping is steps that are under way together.
type overlapping struct {
	overlap float64
	shared  float64 // part of a step's work that one at a time can do
	alone   float64 // seconds that a step takes alone, from end to end
}

// overlapping of so many groups' steps of so many rows.
func (t *Times) overlapping(groups int, rows, away float64) overlapping {
	compute, experts, _ := t.Of(rows)
	work := max(compute+experts, 1e-9)
	return overlapping{float64(groups) * work / (work + away), max(compute, experts) / work, work + away}
}

// expected is the slowdown where nothing was measured: none until the longer of
// the trunk's work and the holders' fills the time, then in proportion to it.
// Hopeful, since trying shows whether it is so, and not trying shows nothing.
func (o overlapping) expected() float64 {
	return math.Pow(1+math.Pow(o.overlap*o.shared, sharpness), 1./sharpness)
}

const sharpness = 8

// reach is the largest number of groups for n sequences about which measurements
// say something: with no more than twice the overlap of any, or two.
func (s *Sharing) reach(t *Times, n int, away float64) int {
	most := 0.
	for _, k := range s.seen {
		if k.groups > 0 {
			most = max(most, t.overlapping(k.groups, k.rows, k.away).overlap)
		}
	}
	g := 2
	for g < min(n, Most) && t.overlapping(g+1, float64(n)/float64(g+1), away).overlap <= 2*most {
		g++
	}
	return g
}

// slowdown is what is to be expected after what was measured: what is expected
// anyhow, times what the measurements with the next lower and the next higher
// overlap were beside that. Without any overlap that is 1.
func (s *Sharing) slowdown(t *Times, o overlapping) float64 {
	below, above := 0., math.Inf(1)
	fBelow, fAbove := 1., 1.
	nearest := math.Inf(1) // measurement, by the logarithm of its overlap
	for _, k := range s.seen {
		if k.groups == 0 {
			continue
		}
		was := t.overlapping(k.groups, k.rows, k.away)
		f := 1 + k.trust*(k.took/was.alone/was.expected()-1)
		nearest = min(nearest, math.Abs(math.Log(was.overlap/o.overlap)))
		if was.overlap <= o.overlap && was.overlap > below {
			below, fBelow = was.overlap, f
		}
		if was.overlap >= o.overlap && was.overlap < above {
			above, fAbove = was.overlap, f
		}
	}
	f := fBelow
	if above > below && !math.IsInf(above, 1) {
		f += (o.overlap - below) / (above - below) * (fAbove - fBelow)
	}
	if !math.IsInf(nearest, 1) {
		f *= 1 - hope*min(1, nearest/far)
	}
	return f * o.expected()
}

// hope is the part by which what was not measured, nor anything near it, may be
// better than expected: enough to find out. far is the logarithm of how many
// times another overlap it is then.
const (
	hope = 0.06
	far  = 0.3
)

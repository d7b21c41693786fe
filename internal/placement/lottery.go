package placement

import "slices"

// lottery draws experts that a node could fetch, without replacement, each
// with the third power of what a copy of it is worth as its weight. (With the
// first, copies would come to be as the square root of demand: each draw looks
// at the copies that earlier ones made. The third brings them to its 3/4.) Nodes that see the same
// swarm draw differently, because their seeds differ.
type lottery struct {
	d     *decider
	taken map[int]bool // drawn, or fetched for another reason
	sums  []float64    // of the weights up to and with each expert
	stale int          // drawn since sums were made
	draws int
}

func (d *decider) lottery() *lottery {
	l := &lottery{d: d, taken: make(map[int]bool, len(d.out.Fetch)), sums: make([]float64, len(d.Experts))}
	for _, f := range d.out.Fetch {
		l.taken[f.Expert] = true
	}
	l.add()
	return l
}

// add makes the sums of what is left.
func (l *lottery) add() {
	sum := 0.0
	for i := range l.d.Experts {
		if e := &l.d.Experts[i]; l.open(e) && !l.taken[i] {
			w := l.d.worth(e)
			sum += w * w * w
		}
		l.sums[i] = sum
	}
	l.stale = 0
}

// open reports whether an expert may be drawn. Holes are for volunteers,
// where there are others to volunteer.
func (l *lottery) open(e *Expert) bool {
	return !e.Held && !e.Lost && e.Bytes <= l.d.Budget &&
		(l.d.Takers <= 0 || e.Replicas+float64(e.Intended) >= float64(l.d.p.Want))
}

// misses is how many draws in a row may hit what was drawn before until the
// sums are made anew.
const misses = 16

// next draws one; false when none is left.
func (l *lottery) next() (int, bool) {
	for missed := 0; ; missed++ {
		if missed == misses {
			if l.stale == 0 {
				return 0, false
			}
			l.add()
			missed = 0
		}
		if len(l.sums) == 0 || l.sums[len(l.sums)-1] <= 0 {
			return 0, false
		}
		all := l.sums[len(l.sums)-1]
		l.draws++
		i, _ := slices.BinarySearch(l.sums, all*uniform(l.d.Seed+2, l.draws))
		if i >= len(l.sums) || l.taken[i] || !l.open(&l.d.Experts[i]) {
			continue
		}
		l.taken[i] = true
		l.stale++
		return i, true
	}
}

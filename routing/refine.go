package routing

import (
	"math"
	"slices"
)

const (
	// refineMost bounds the peers of a plan that is refined: among more, one
	// less or a call moved changes little, and plans must be quick.
	refineMost = 8
	// refineMoves bounds the changes made. Balancing some calls takes a few.
	refineMoves = 16
	// refineGain is the least gain, as a share of the layer's time, that a
	// change is made for.
	refineGain = 1e-4
	// joinLeast is how much slower than the best choice a peer may be that
	// takes part anyway, as a share of its time, even if no peer strays: a frame
	// less is worth that.
	joinLeast = 0.01
)

// growth is by how many standard deviations the expected maximum of n + 1
// independent normal variables is above that of n: what one peer more costs a
// layer, since the latest of its answers ends it.
func growth(n int) float64 {
	of := [...]float64{0, 0.564, 0.282, 0.183, 0.134, 0.104, 0.085, 0.072, 0.062}
	return of[min(n, len(of)-1)]
}

// joinSlack is how much slower than this slot, as a share of its time, another
// may be that takes part already when n do.
func (s *slot) joinSlack(n int) float64 { return joinLeast + s.deviation*growth(n) }

// refine changes a plan while that makes the layer's expected completion, the
// maximum over its peers, sooner: it takes the calls of one peer away, as a
// peer less is a late answer less, or moves a call from the slowest. choose
// places calls one by one and cannot see either.
func (p *planner) refine(w *Work) {
	if len(p.used) < 2 || len(p.used) > refineMost {
		return
	}
	p.could = p.could[:0]
	for _, c := range p.order {
		p.could = append(p.could, p.takers(w, c))
	}
	now := p.completion(w)
	for range refineMoves {
		better := p.dropOne(w, now)
		if better == now {
			better = p.moveOne(w, now)
		}
		if better == now {
			return
		}
		now = better
	}
}

// takers is the set of used slots that may be asked for a call.
func (p *planner) takers(w *Work, c int) (set uint8) {
	for _, h := range w.Holders[c] {
		at := p.slotOf[h] - 1
		if at < 0 || p.slots[at].calls == 0 || p.slots[at].penalty > 0 {
			continue
		}
		if c < len(w.Excluded) && slices.Contains(w.Excluded[c], h) {
			continue
		}
		set |= 1 << p.slots[at].use
	}
	return set
}

// assign moves the call that is i-th in the order to a slot.
func (p *planner) assign(w *Work, i int, to int32) {
	rows := len(w.Calls[p.order[i]].Rows)
	from := &p.slots[p.chosen[i]]
	from.calls--
	from.rows -= rows
	p.chosen[i] = to
	p.slots[to].calls++
	p.slots[to].rows += rows
}

// dropOne takes one slot out of the plan if that is a gain, the one that gains
// most, and gives the completion then.
func (p *planner) dropOne(w *Work, now float64) float64 {
	best, bestTime := int32(-1), now*(1-refineGain)
	for _, at := range p.used {
		p.undo = p.undo[:0]
		if p.slots[at].calls > 0 && p.drop(w, at) {
			if t := p.completion(w); t < bestTime {
				best, bestTime = at, t
			}
		}
		for _, i := range p.undo {
			p.assign(w, i, at)
		}
	}
	if best < 0 {
		return now
	}
	p.undo = p.undo[:0]
	p.drop(w, best)
	for _, i := range p.undo {
		p.replaced(i, best)
	}
	return bestTime
}

// drop gives each call of a slot to the other one that is done first; false
// if a call has no other. What it moved is in p.undo.
func (p *planner) drop(w *Work, at int32) bool {
	for i := range p.order {
		if p.chosen[i] != at {
			continue
		}
		to, least := int32(-1), math.Inf(1)
		for u, other := range p.used {
			if other == at || p.could[i]&(1<<u) == 0 || p.slots[other].calls == 0 {
				continue
			}
			if t := p.slots[other].timeWith(w, len(w.Calls[p.order[i]].Rows)); t < least {
				to, least = other, t
			}
		}
		if to < 0 {
			return false
		}
		p.assign(w, i, to)
		p.undo = append(p.undo, i)
	}
	return true
}

// moveOne moves a call of the slot that is done last to another if that is a
// gain, and gives the completion then.
func (p *planner) moveOne(w *Work, now float64) float64 {
	last, latest := int32(-1), 0.
	for _, at := range p.used {
		if s := &p.slots[at]; s.calls > 0 {
			if mean, _ := s.outlook(w); mean > latest {
				last, latest = at, mean
			}
		}
	}
	call, to, bestTime := -1, int32(-1), now*(1-refineGain)
	for i := range p.order {
		if p.chosen[i] != last {
			continue
		}
		for u, other := range p.used {
			if other == last || p.could[i]&(1<<u) == 0 || p.slots[other].calls == 0 {
				continue
			}
			p.assign(w, i, other)
			if t := p.completion(w); t < bestTime {
				call, to, bestTime = i, other, t
			}
			p.assign(w, i, last)
		}
	}
	if call < 0 {
		return now
	}
	p.assign(w, call, to)
	p.replaced(call, last)
	return bestTime
}

// replaced notes that a call left a slot, which is its next best now.
func (p *planner) replaced(i int, old int32) { p.second[p.order[i]] = old }

// outlook is when a slot is expected to be done, and by how much it strays.
func (s *slot) outlook(w *Work) (mean, deviation float64) {
	t := s.even * s.cost.seconds(float64(w.bytes(s.rows)), float64(s.calls), float64(s.rows))
	return s.penalty + t, s.deviation * t
}

// completion is when the last of the plan's peers is expected to be done: the
// expected maximum of normal variables, taken in one after the other by
// Clark's formula (Operations Research 9, 1961).
func (p *planner) completion(w *Work) float64 {
	var mean, variance float64
	first := true
	for _, at := range p.used {
		s := &p.slots[at]
		if s.calls == 0 {
			continue
		}
		m, d := s.outlook(w)
		if first {
			mean, variance, first = m, d*d, false
			continue
		}
		mean, variance = latest(mean, variance, m, d*d)
	}
	return mean
}

// latest gives mean and variance of the maximum of two independent normal
// variables.
func latest(m1, v1, m2, v2 float64) (mean, variance float64) {
	a := math.Sqrt(v1 + v2)
	if a < 1e-9 { // below a nanosecond
		return max(m1, m2), 0
	}
	x := (m1 - m2) / a
	above := math.Erfc(-x/math.Sqrt2) / 2 // the normal distribution at x
	density := math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
	mean = m1*above + m2*(1-above) + a*density
	square := (m1*m1+v1)*above + (m2*m2+v2)*(1-above) + (m1+m2)*a*density
	return mean, max(0, square-mean*mean)
}

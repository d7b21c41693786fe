package routing

import (
	"slices"
	"time"
)

// hedge adds the duplicates of the attempts collected.
func (p *planner) hedge(w *Work, peers []Estimate) {
	if w.Hedge < 0 {
		return
	}
	critical := p.critical(w, peers)
	i := -1 // its attempt
	for at := range p.slots {
		if p.slots[at].calls == 0 {
			continue
		}
		i++
		mean, tail := p.slots[at].times(w, peers)
		busy := 1 - p.slots[at].onTheWay(w, peers)/max(mean, 1e-9)
		after := w.Hedge.after(seconds(tail), busy)
		if busy <= busyMost && critical > 0 && tail > critical && tail > mean*criticalTail {
			after = atOnce
		}
		p.duplicate(w, p.attempts[i].Calls, int32(at), after, peers)
	}
}

// times gives the expected time and the p95 of what a slot was given.
func (s *slot) times(w *Work, peers []Estimate) (mean, tail float64) {
	bytes := w.bytes(s.rows)
	mean = s.cost.seconds(float64(bytes), float64(s.calls), float64(s.rows))
	mean /= s.factor
	return mean, mean * peers[s.peer].tail(bytes)
}

// onTheWay is the part of the expected time that is not spent at the peer.
func (s *slot) onTheWay(w *Work, peers []Estimate) float64 {
	way := &peers[s.peer].way
	return way.fixed + way.perByte*float64(w.bytes(s.rows))
}

// critical gives the time that the p95 of few attempts lies above and all
// others below, when the layer's own p95 is far above what is expected of it;
// 0 if there is no such time. Attempts above it decide the layer by their
// tail alone.
func (p *planner) critical(w *Work, peers []Estimate) float64 {
	var layer float64 // what is expected of it
	for i := range p.slots {
		if p.slots[i].calls > 0 {
			mean, _ := p.slots[i].times(w, peers)
			layer = max(layer, mean)
		}
	}
	few := 0
	for i := range p.slots {
		if p.slots[i].calls > 0 {
			if _, tail := p.slots[i].times(w, peers); tail > criticalTail*layer && peers[p.slots[i].peer].spread.known() {
				few++
			}
		}
	}
	if few == 0 || few > criticalFew {
		return 0
	}
	return criticalTail * layer
}

// duplicate plans a slot's calls at their next best holders: as many as
// possible at the one of the first call, and so on.
func (p *planner) duplicate(w *Work, calls []int, at int32, after time.Duration, peers []Estimate) {
	p.rest = p.rest[:0]
	for _, c := range calls {
		if p.second[c] >= 0 && p.slots[p.second[c]].penalty == 0 {
			p.rest = append(p.rest, c)
		}
	}
	for len(p.rest) > 0 {
		to := p.second[p.rest[0]]
		first, left := len(p.calls), 0
		for _, c := range p.rest {
			if p.second[c] == to || p.couldTake(w, c, to) {
				p.calls = append(p.calls, c)
				continue
			}
			p.rest[left] = c
			left++
		}
		p.rest = p.rest[:left]
		p.attempts = append(p.attempts, Attempt{
			Peer: peers[p.slots[to].peer].Peer, Calls: p.calls[first:len(p.calls):len(p.calls)], After: after})
	}
}

// couldTake says whether a slot's peer holds a call's expert and may be asked.
func (p *planner) couldTake(w *Work, c int, at int32) bool {
	h := p.slots[at].peer
	return slices.Contains(w.Holders[c], h) && (c >= len(w.Excluded) || !slices.Contains(w.Excluded[c], h))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

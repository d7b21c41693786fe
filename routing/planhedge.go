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
	for _, at := range p.used {
		s := &p.slots[at]
		if s.calls == 0 {
			continue
		}
		i++
		busy := 1 - s.onTheWay(w, peers)/max(s.mean, 1e-9)
		after := w.Hedge.after(seconds(s.tail), busy)
		if busy <= busyMost && critical > 0 && s.tail > critical && s.tail > s.mean*criticalTail {
			after = atOnce
		}
		p.duplicate(w, p.attempts[i].Calls, at, after, peers)
	}
}

// time notes the expected time and the p95 of what a slot was given.
func (s *slot) time(w *Work, peers []Estimate) {
	bytes := w.bytes(s.rows)
	s.mean = s.cost.seconds(float64(bytes), float64(s.calls), float64(s.rows)) / s.factor
	s.tail = s.mean * peers[s.peer].tail(bytes)
}

// onTheWay is the part of the expected time that is not spent at the peer.
func (s *slot) onTheWay(w *Work, peers []Estimate) float64 {
	way := &peers[s.peer].way
	return way.fixed + way.perByte*float64(w.bytes(s.rows))
}

// critical gives the time that the p95 of few attempts lies above and all
// others below, when the layer's own p95 is far above what is expected of it;
// 0 if there is no such time. Attempts above it decide the layer by their
// tail alone. It times the slots that take part.
func (p *planner) critical(w *Work, peers []Estimate) float64 {
	var layer float64 // what is expected of it
	for _, at := range p.used {
		if s := &p.slots[at]; s.calls > 0 {
			s.time(w, peers)
			layer = max(layer, s.mean)
		}
	}
	few := 0
	for _, at := range p.used {
		if s := &p.slots[at]; s.calls > 0 && s.tail > criticalTail*layer && peers[s.peer].spread.known() {
			few++
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

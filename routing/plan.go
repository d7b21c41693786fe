package routing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Work is what [Plan] is to place: calls of one layer on one token batch.
type Work struct {
	Rows, Dim int // shape of the batch
	Sum       bool
	Calls     []expert.Call
	Place     []int // indices of the calls to place; the others are left out
	// Holders gives for each of Calls the peers that hold its expert, as
	// indices into the estimates. Excluded, which may be nil or shorter, gives
	// those of them that must not be asked this time.
	Holders, Excluded [][]int32
}

// Unplaced is the error of [Plan] when calls have no holder that may be asked
// now. It wraps [expert.ErrNoHolder].
type Unplaced struct {
	Calls   []int // indices into Work.Calls, ascending
	Experts []expert.ID
}

func (u *Unplaced) Error() string { return fmt.Sprintf("%v: %v", expert.ErrNoHolder, u.Experts) }

// Unwrap makes errors.Is see [expert.ErrNoHolder].
func (u *Unplaced) Unwrap() error { return expert.ErrNoHolder }

// Plan gives each call to the holder expected to be done with it first,
// counting what the holder was already given here, so that the layer's
// slowest peer is what stays small. Calls with a single holder come first,
// then those with most rows, since the small ones fit in best at the end. A
// peer that already takes part is preferred when it costs little time, as a
// frame less is a chance less for a late answer. All calls of a peer form one
// attempt.
//
// Plan is pure: equal arguments give equal attempts. The seed breaks ties. If
// calls cannot be placed, the attempts cover the others and the error is an
// [*Unplaced].
func Plan(w Work, peers []Estimate, now time.Time, seed uint64) ([]Attempt, error) {
	var p planner
	attempts, left := p.plan(w, peers, now, seed)
	if len(left) == 0 {
		return attempts, nil
	}
	u := &Unplaced{Calls: left}
	for _, c := range left {
		u.Experts = append(u.Experts, w.Calls[c].Expert)
	}
	return attempts, u
}

// planner is Plan's scratch. Reused, it plans without allocating. What plan
// returns is valid until the next plan.
type planner struct {
	slotOf   []int32 // by peer: 1 + its slot in this plan, 0 if it has none
	slots    []slot  // the peers met in this plan
	order    []int   // calls in the order of placing
	chosen   []int32 // for each of order: the slot it went to
	attempts []Attempt
	calls    []int // backs the attempts' Calls
	left     []int
}

// slot is a peer within one plan.
type slot struct {
	peer    int32
	resting bool
	penalty float64 // seconds; makes a suspect peer the last choice
	cost    cost
	tie     uint64 // order among equals
	calls   int
	rows    int
	end     int // end of its part of planner.calls
}

func (p *planner) plan(w Work, peers []Estimate, now time.Time, seed uint64) (attempts []Attempt, left []int) {
	p.reset(len(peers))
	p.order = append(p.order, w.Place...)
	slices.SortFunc(p.order, w.harder)
	for _, c := range p.order {
		at := p.choose(&w, c, peers, now, seed)
		p.chosen = append(p.chosen, at)
		if at < 0 {
			p.left = append(p.left, c)
			continue
		}
		p.slots[at].calls++
		p.slots[at].rows += len(w.Calls[c].Rows)
	}
	slices.Sort(p.left)
	return p.collect(peers), p.left
}

func (p *planner) reset(peers int) {
	for i := range p.slots {
		p.slotOf[p.slots[i].peer] = 0
	}
	if len(p.slotOf) < peers {
		p.slotOf = make([]int32, peers+peers/4)
	}
	p.slots, p.order, p.chosen = p.slots[:0], p.order[:0], p.chosen[:0]
	p.attempts, p.calls, p.left = p.attempts[:0], p.calls[:0], p.left[:0]
}

// harder orders calls: those without a choice, then large ones, then those
// with little choice.
func (w Work) harder(a, b int) int {
	ha, hb := len(w.Holders[a]), len(w.Holders[b])
	return cmp.Or(
		cmp.Compare(min(ha, 2), min(hb, 2)),
		cmp.Compare(len(w.Calls[b].Rows), len(w.Calls[a].Rows)),
		cmp.Compare(ha, hb),
		cmp.Compare(a, b))
}

// choose picks the slot for call c, -1 if no holder may be asked.
func (p *planner) choose(w *Work, c int, peers []Estimate, now time.Time, seed uint64) int32 {
	best, joined := int32(-1), int32(-1)
	var bestTime, joinedTime float64
	rows := len(w.Calls[c].Rows)
	for _, h := range w.Holders[c] {
		at := p.slotFor(h, peers, now, seed)
		s := &p.slots[at]
		if s.resting || c < len(w.Excluded) && slices.Contains(w.Excluded[c], h) {
			continue
		}
		t := s.timeWith(w, rows)
		if best < 0 || t < bestTime || t == bestTime && s.tie < p.slots[best].tie {
			best, bestTime = at, t
		}
		if s.calls > 0 && (joined < 0 || t < joinedTime || t == joinedTime && s.tie < p.slots[joined].tie) {
			joined, joinedTime = at, t
		}
	}
	if joined >= 0 && joinedTime <= bestTime*(1+joinSlack) {
		return joined
	}
	return best
}

// slotFor finds the peer's slot, making it at first sight.
func (p *planner) slotFor(peer int32, peers []Estimate, now time.Time, seed uint64) int32 {
	if at := p.slotOf[peer]; at > 0 {
		return at - 1
	}
	e := &peers[peer]
	s := slot{peer: peer, resting: e.Resting(now) > 0, tie: mix(e.tie ^ seed)}
	if !s.resting {
		s.cost = e.cost(now)
		if e.Suspect() {
			s.penalty = suspectPenalty.Seconds()
		}
	}
	p.slots = append(p.slots, s)
	p.slotOf[peer] = int32(len(p.slots))
	return int32(len(p.slots)) - 1
}

// timeWith is when the peer would be done with one call more of so many rows.
func (s *slot) timeWith(w *Work, rows int) float64 {
	rows += s.rows
	return s.penalty + s.cost.seconds(float64(w.bytes(rows)), float64(s.calls+1), float64(rows))
}

// bytes is the size of an attempt whose calls have so many rows together. A
// row travels out once, however many calls name it; which calls share rows
// is not looked at, so this is an upper bound.
func (w *Work) bytes(rows int) int {
	once := min(rows, w.Rows)
	if w.Sum {
		return 4 * w.Dim * (once + once)
	}
	return 4 * w.Dim * (once + rows)
}

// size is what an attempt with these calls costs.
func (w *Work) size(calls []int) Size {
	s := Size{Calls: len(calls)}
	for _, c := range calls {
		s.Rows += len(w.Calls[c].Rows)
	}
	s.Bytes = w.bytes(s.Rows)
	return s
}

// collect turns the choices into attempts: peers in the order in which they
// joined, their calls ascending.
func (p *planner) collect(peers []Estimate) []Attempt {
	end := 0
	for i := range p.slots {
		end += p.slots[i].calls
		p.slots[i].end = end - p.slots[i].calls
	}
	p.calls = slices.Grow(p.calls, end)[:end]
	for i, c := range p.order {
		if at := p.chosen[i]; at >= 0 {
			s := &p.slots[at]
			p.calls[s.end] = c
			s.end++
		}
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.calls > 0 {
			calls := p.calls[s.end-s.calls : s.end : s.end]
			slices.Sort(calls)
			p.attempts = append(p.attempts, Attempt{Peer: peers[s.peer].Peer, Calls: calls})
		}
	}
	return p.attempts
}

// mix spreads a number over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

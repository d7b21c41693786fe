package routing

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Work is what [Plan] is to place: calls of one layer on one token batch.
type Work struct {
	Rows, Dim int // shape of the batch
	Sum       bool
	Calls     []expert.Call
	Kind      Kind  // of the calls, which are of one layer
	Place     []int // indices of the calls to place; the others are left out
	// Holders gives for each of Calls the peers that hold its expert, as
	// indices into the estimates. Excluded, which may be nil or shorter, gives
	// those of them that must not be asked this time.
	Holders, Excluded [][]int32
	// Hedge says when the attempts are to be duplicated.
	Hedge Hedge
	// Explore disregards how far peers are trusted.
	Explore bool
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
// frame less is a chance less for a late answer: the more, the further peers
// stray from their mean. Among few peers, calls are then moved, and peers taken
// out, while that lowers the expected maximum over the peers. All calls of a
// peer form one attempt. The time that counts is the mean that is expected, raised for peers
// that stray from it, fail, or are little trusted, and among peers that are as
// good within a few percent the seed decides, so that gating nodes which know
// the same spread over them.
//
// After the attempts come their hedges, with After above 0: the same calls at
// the next best holder, to be started if the attempt has not been answered by
// its p95, or as the policy says. The hedge of an attempt on whose tail the
// whole layer depends is to be started at once. Hedges are few peers' too: one
// for all calls of an attempt if it holds them.
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
	least    []float64 // by peer: no call more would be done there before, +Inf if it must not be asked, 0 if nobody has looked
	slotOf   []int32   // by peer: 1 + its slot in this plan, 0 if it has none
	slots    []slot    // the peers met in this plan: those that were worth a closer look
	keys     []uint64  // the ease of the calls, sorted
	order    []int     // calls in the order of placing
	chosen   []int32   // for each of order: the slot it went to
	second   []int32   // by call: the slot next best, -1 if there is none
	attempts []Attempt
	calls    []int   // backs the attempts' Calls
	rest     []int   // calls of an attempt that have no hedge yet
	used     []int32 // the slots that take part, in the order in which they joined
	could    []uint8 // for each of order: the set of used slots that may be asked, for refine
	undo     []int   // indices into order
	left     []int
}

// slot is a peer within one plan.
type slot struct {
	peer      int32
	penalty   float64 // seconds; makes a suspect peer the last choice
	factor    float64 // what its expected time is multiplied with to compare it
	cost      cost    // multiplied already
	even      float64 // takes out of cost what only tells equals apart
	deviation float64 // of its time, as a share of it
	tie       uint64  // order among equals
	calls     int
	rows      int
	use       int // its index in planner.used
	end       int // end of its part of planner.calls
	mean      float64
	tail      float64 // with mean, of what it was given, in seconds; for hedge
}

func (p *planner) plan(w Work, peers []Estimate, now time.Time, seed uint64) (attempts []Attempt, left []int) {
	p.reset(len(peers), len(w.Calls))
	for _, c := range w.Place {
		p.keys = append(p.keys, w.ease(c))
	}
	slices.Sort(p.keys)
	for _, k := range p.keys {
		c := int(k & (1<<easeCall - 1))
		p.order = append(p.order, c)
		at := p.choose(&w, c, peers, now, seed)
		p.chosen = append(p.chosen, at)
		if at < 0 {
			p.left = append(p.left, c)
			continue
		}
		s := &p.slots[at]
		if s.calls == 0 {
			s.use = len(p.used)
			p.used = append(p.used, at)
		}
		s.calls++
		s.rows += len(w.Calls[c].Rows)
		p.least[s.peer] = s.timeWith(&w, 0)
	}
	slices.Sort(p.left)
	p.refine(&w)
	p.collect(peers)
	p.hedge(&w, peers)
	return p.attempts, p.left
}

func (p *planner) reset(peers, calls int) {
	for i := range p.slots {
		p.slotOf[p.slots[i].peer] = 0
	}
	if len(p.slotOf) < peers {
		p.slotOf = make([]int32, peers+peers/4)
		p.least = make([]float64, len(p.slotOf))
	}
	clear(p.least[:peers])
	p.keys, p.used = p.keys[:0], p.used[:0]
	p.slots, p.order, p.chosen = p.slots[:0], p.order[:0], p.chosen[:0]
	p.attempts, p.calls, p.left = p.attempts[:0], p.calls[:0], p.left[:0]
	p.second = slices.Grow(p.second[:0], calls)[:calls]
}

// The fields of a call's ease, from low to high: the call itself, how many
// hold its expert, how many rows it lacks to the most, and whether there is a
// choice.
const (
	easeCall    = 20 // bits; a layer has some hundred experts
	easeHolders = 20
	easeRows    = 22
)

// ease orders calls as a number, which sorts faster than three comparisons:
// those without a choice first, then large ones, then those with little choice.
func (w *Work) ease(c int) uint64 {
	holders := len(w.Holders[c])
	k := uint64(min(holders, 2))
	k = k<<easeRows | uint64(1<<easeRows-1-min(len(w.Calls[c].Rows), 1<<easeRows-1))
	k = k<<easeHolders | uint64(min(holders, 1<<easeHolders-1))
	return k<<easeCall | uint64(c)
}

// choose picks the slot for call c, -1 if no holder may be asked, and notes
// the next best. Most of many holders are too far to be either: those are
// passed over with one look at their least time.
func (p *planner) choose(w *Work, c int, peers []Estimate, now time.Time, seed uint64) int32 {
	best, next, joined := int32(-1), int32(-1), int32(-1)
	var bestTime, nextTime, joinedTime float64
	rows := len(w.Calls[c].Rows)
	enough := math.MaxFloat64 // slower than that is neither best, next best nor joined
	var excluded []int32
	if c < len(w.Excluded) {
		excluded = w.Excluded[c]
	}
	for _, h := range w.Holders[c] {
		if p.least[h] > enough || len(excluded) > 0 && slices.Contains(excluded, h) {
			continue
		}
		at := p.slotOf[h] - 1
		if at < 0 {
			if p.least[h] == 0 {
				p.least[h] = peers[h].soonest()
			}
			if p.least[h] > enough {
				continue
			}
			if at = p.meet(w, h, peers, now, seed); p.least[h] > enough {
				continue
			}
		}
		s := &p.slots[at]
		t := s.timeWith(w, rows)
		switch {
		case best < 0 || t < bestTime || t == bestTime && s.tie < p.slots[best].tie:
			next, nextTime = best, bestTime
			best, bestTime = at, t
		case next < 0 || t < nextTime || t == nextTime && s.tie < p.slots[next].tie:
			next, nextTime = at, t
		}
		if s.calls > 0 && (joined < 0 || t < joinedTime || t == joinedTime && s.tie < p.slots[joined].tie) {
			joined, joinedTime = at, t
		}
		if next >= 0 {
			enough = max(nextTime, bestTime*(1+p.slots[best].joinSlack(len(p.used))))
		}
	}
	p.second[c] = next
	if joined >= 0 && joined != best && joinedTime <= bestTime*(1+p.slots[best].joinSlack(len(p.used))) {
		p.second[c] = best
		return joined
	}
	return best
}

// meet makes the peer's slot.
func (p *planner) meet(w *Work, peer int32, peers []Estimate, now time.Time, seed uint64) int32 {
	e := &peers[peer]
	p.slots = slices.Grow(p.slots, 1)
	at := int32(len(p.slots))
	p.slots = p.slots[:at+1]
	p.slotOf[peer] = at + 1
	s := &p.slots[at]
	*s = slot{peer: peer, tie: mix(e.tie ^ seed)}
	if !e.askable(now) {
		p.least[peer] = math.Inf(1)
		return at
	}
	s.penalty = e.avoidance(now)
	s.factor = e.risk(now)
	if w.Explore {
		s.factor /= max(e.trust, 1)
	}
	s.even = 1 / (1 + choiceSlack*float64(s.tie>>11)/(1<<53))
	s.factor /= s.even
	s.deviation = e.spread.deviation()
	s.cost = e.cost(w.Kind, now)
	s.cost.times(s.factor)
	p.least[peer] = max(s.penalty+s.cost.fixed, math.SmallestNonzeroFloat64)
	return at
}

// timeWith is when the peer would be done with one call more of so many rows,
// as one compares peers.
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
	s := Size{Calls: len(calls), Kind: w.Kind}
	for _, c := range calls {
		s.Rows += len(w.Calls[c].Rows)
	}
	s.Bytes = w.bytes(s.Rows)
	return s
}

// collect turns the choices into attempts: peers in the order in which they
// joined, their calls ascending.
func (p *planner) collect(peers []Estimate) {
	end := 0
	for _, at := range p.used {
		end += p.slots[at].calls
		p.slots[at].end = end - p.slots[at].calls
	}
	// Hedges repeat each call once at most: the array must not move while
	// attempts point into it.
	p.calls = slices.Grow(p.calls, 2*end)[:end]
	for i, c := range p.order {
		if at := p.chosen[i]; at >= 0 {
			s := &p.slots[at]
			p.calls[s.end] = c
			s.end++
		}
	}
	for _, at := range p.used {
		if s := &p.slots[at]; s.calls > 0 {
			calls := p.calls[s.end-s.calls : s.end : s.end]
			slices.Sort(calls)
			p.attempts = append(p.attempts, Attempt{Peer: peers[s.peer].Peer, Calls: calls})
		}
	}
}

// mix spreads a number over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

package bench

import (
	pq "container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/internal/placement"
)

// Times of the placement simulation.
const (
	placeTick      = time.Minute      // a node looks for something to do
	placeRebalance = time.Hour        // a full node considers exchanges
	placeGossip    = time.Second      // an announcement reaches everybody
	placeSettle    = 2 * time.Second  // between an intention and its confirmation
	placeGoodbye   = 10 * time.Second // a leaving node still gives copies away
	placeUnseen    = 35 * time.Second // one that is gone without a word is noticed
	placeShift     = 6 * time.Hour    // demand moves
)

// placeSim is a swarm of nodes that place experts, moved by a queue of events.
// Decisions and confirmations are those of package placement; each node sees
// the swarm as gossip shows it, a second or, for crashes, 35 s late.
type placeSim struct {
	w      placeSwarm
	random *rand.Rand
	policy placement.Policy
	now    time.Duration
	events eventQueue
	seq    int

	nodes  []placeNode
	online []int32 // nodes, in no order
	demand []float64

	// What is so: holders that are online, and for how long fewer than two.
	have  []int32
	since []time.Duration
	// What all see: seen is the view without any node's own part.
	seen    []placement.Expert
	holders [][]int32 // by expert
	top     [][2]uint64
	holes   map[int32]bool // experts with fewer than two holders in view
	intents map[int32][]int32
	stale   int // holders in view that are gone
	inView  int

	view           []placement.Expert // scratch
	index          []int32            // of the scratch view's experts
	place          []int32            // of an expert in the scratch view, if index agrees
	stats          placeStats
	records, ratio float64 // as counted in the last hour
	warm           time.Duration
}

type placeNode struct {
	hash    uint64
	budget  int64
	used    int64
	rate    float64
	life    int // counts sessions; events of an earlier one are void
	online  bool
	visible bool // its copies are in view
	leaving bool
	at      int // in placeSim.online
	held    []int32
	began   time.Duration // of the session
	until   time.Duration // its provider records are valid
	looked  time.Duration // when it last considered exchanges
	plan    []placement.Fetch
	drop    []int32
}

type placeEvent struct {
	at   time.Duration
	seq  int
	node int32 // -1: of the swarm
	life int
	do   func(s *placeSim, n int32)
}

type eventQueue []placeEvent

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(a, b int) bool {
	return q[a].at < q[b].at || q[a].at == q[b].at && q[a].seq < q[b].seq
}
func (q eventQueue) Swap(a, b int) { q[a], q[b] = q[b], q[a] }
func (q *eventQueue) Push(e any)   { *q = append(*q, e.(placeEvent)) }
func (q *eventQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

func newPlaceSim(w placeSwarm, seed uint64) *placeSim {
	experts := placeLayers * placeExperts
	s := &placeSim{w: w, random: rand.New(rand.NewPCG(seed, uint64(w.nodes))), nodes: make([]placeNode, w.nodes),
		demand: make([]float64, experts), place: make([]int32, experts), have: make([]int32, experts), since: make([]time.Duration, experts),
		seen: make([]placement.Expert, experts), holders: make([][]int32, experts), top: make([][2]uint64, experts),
		holes: map[int32]bool{}, intents: map[int32][]int32{}, warm: warmUp(w)}
	s.policy, _ = placement.Policy{}.Validate()
	s.stats.fewest = float64(w.nodes)
	popularity(s.random, s.demand)
	for i := range s.seen {
		s.seen[i] = placement.Expert{Bytes: placeBytes, Demand: s.demand[i], Lost: true}
		s.holes[int32(i)] = true
		s.since[i] = -1
	}
	for i := range s.nodes {
		s.nodes[i] = placeNode{hash: placement.PeerHash(string(holderName(i))), budget: memory(s.random), rate: rate(s.random)}
	}
	s.fill()
	return s
}

// fill gives the swarm a past: all nodes choose one after the other, then
// those that are away at the moment go.
func (s *placeSim) fill() {
	for i := range s.seen {
		s.seen[i].Lost = false // from the first seeder
	}
	choose := func(n int32) {
		s.join(n)
		s.see(n)
		v := s.viewOf(n, false)
		v.Rate, v.Takers = 0, 0
		for _, f := range placement.Decide(v, s.policy).Fetch {
			s.gain(n, s.index[f.Expert])
		}
	}
	present := int32(s.w.online * float64(s.w.nodes))
	for n := range present {
		choose(n)
		s.after(n, residual(s.random, func() time.Duration { return session(s.random) }), (*placeSim).end)
		s.after(n, time.Duration(s.random.Float64()*float64(placeTick)), (*placeSim).tick)
	}
	for n := present; n < int32(s.w.nodes); n++ {
		choose(n)
	}
	for n := present; n < int32(s.w.nodes); n++ {
		s.nodes[n].life++
		s.gone(n)
		s.unsee(n)
		s.nodes[n].until = 0
		s.after(n, residual(s.random, func() time.Duration { return absence(s.random, s.w.online) }), (*placeSim).begin)
	}
	s.after(-1, placeShift, (*placeSim).shift)
	s.after(-1, time.Minute, (*placeSim).sample)
}

// after schedules what a node, or with -1 the swarm, does unless its session
// ends before.
func (s *placeSim) after(n int32, d time.Duration, do func(*placeSim, int32)) {
	s.seq++
	e := placeEvent{at: s.now + d, seq: s.seq, node: n, do: do}
	if n >= 0 {
		e.life = s.nodes[n].life
	}
	pq.Push(&s.events, e)
}

func (s *placeSim) run(ctx context.Context, until time.Duration) error {
	for steps := 0; len(s.events) > 0 && s.events[0].at <= until; steps++ {
		if steps%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e := pq.Pop(&s.events).(placeEvent)
		s.now = e.at
		if e.node < 0 || e.life == s.nodes[e.node].life {
			e.do(s, e.node)
		}
	}
	s.stats.span = until - s.warm
	return nil
}

// begin is the start of a session: what is on disk is offered at once.
func (s *placeSim) begin(n int32) {
	s.nodes[n].life++
	s.join(n)
	s.after(n, placeGossip, (*placeSim).see)
	s.after(n, time.Duration(s.random.Float64()*float64(placeTick)), (*placeSim).tick)
	s.after(n, session(s.random), (*placeSim).end)
}

func (s *placeSim) join(n int32) {
	x := &s.nodes[n]
	x.online, x.leaving, x.began, x.at = true, false, s.now, len(s.online)
	// The first look at exchanges is not everybody's at the same moment.
	x.looked = s.now - time.Duration(s.random.Float64()*float64(placeRebalance))
	s.online = append(s.online, n)
	s.provide(n)
	for _, e := range x.held {
		s.count(e, 1)
	}
}

// end is the end of a session: a crash, or a goodbye of ten seconds in which
// others may take over what they lack.
func (s *placeSim) end(n int32) {
	x := &s.nodes[n]
	x.life++
	s.after(n, absence(s.random, s.w.online), (*placeSim).begin)
	if s.random.Float64() < crashes {
		s.gone(n)
		s.stale += len(x.held)
		s.after(n, placeUnseen, func(s *placeSim, n int32) {
			s.stale -= len(s.nodes[n].held)
			s.unsee(n)
		})
		return
	}
	x.leaving = true
	only := slices.DeleteFunc(slices.Clone(x.held), func(e int32) bool { return s.have[e] > 1 })
	s.after(n, placeGossip, func(s *placeSim, n int32) {
		s.unsee(n)
		if len(s.holes) > 0 {
			for _, m := range s.online { // they hear it, and look within a second
				s.after(m, time.Duration(s.random.Float64()*float64(time.Second)), (*placeSim).look)
			}
		}
	})
	s.after(n, placeGoodbye, func(s *placeSim, n int32) {
		if s.now >= s.warm {
			s.stats.last += len(only)
			for _, e := range only {
				if s.have[e] > 1 {
					s.stats.handed++
				}
			}
		}
		s.gone(n)
	})
}

// gone takes a node's copies out of what is so.
func (s *placeSim) gone(n int32) {
	x := &s.nodes[n]
	x.online = false
	last := s.online[len(s.online)-1]
	s.online[x.at] = last
	s.nodes[last].at = x.at
	s.online = s.online[:len(s.online)-1]
	for _, e := range x.held {
		s.count(e, -1)
	}
	s.withdraw(n)
}

// count changes the number of holders of an expert.
func (s *placeSim) count(e, by int32) {
	before := s.have[e]
	s.have[e] += by
	s.seen[e].Lost = s.have[e] == 0
	switch now := s.have[e]; {
	case before >= 2 && now < 2:
		s.since[e] = s.now
	case before < 2 && now >= 2 && s.since[e] >= 0:
		if s.since[e] >= s.warm {
			s.stats.holes = append(s.stats.holes, s.now-s.since[e])
		}
		s.since[e] = -1
	}
	if before == 1 && by < 0 && s.now >= s.warm {
		s.stats.lost++
	}
}

// see puts a node's copies into everybody's view, unsee takes them out.
func (s *placeSim) see(n int32) {
	if x := &s.nodes[n]; !x.visible {
		x.visible = true
		for _, e := range x.held {
			s.show(n, e)
		}
	}
}

func (s *placeSim) unsee(n int32) {
	if x := &s.nodes[n]; x.visible {
		x.visible = false
		for _, e := range x.held {
			s.hide(n, e)
		}
	}
}

func (s *placeSim) show(n, e int32) {
	s.inView++
	s.holders[e] = append(s.holders[e], n)
	s.seen[e].Replicas++
	s.rank(e, placement.Rank(s.nodes[n].hash, int(e)))
	if len(s.holders[e]) >= s.policy.Want {
		delete(s.holes, e)
	}
}

// rank keeps the two highest ranks among an expert's holders: enough to tell
// whether two rank above a node.
func (s *placeSim) rank(e int32, r uint64) {
	switch t := &s.top[e]; {
	case r > t[0]:
		t[0], t[1] = r, t[0]
	case r > t[1]:
		t[1] = r
	}
}

func (s *placeSim) hide(n, e int32) {
	at := slices.Index(s.holders[e], n)
	if at < 0 {
		return
	}
	s.inView--
	last := len(s.holders[e]) - 1
	s.holders[e][at] = s.holders[e][last]
	s.holders[e] = s.holders[e][:last]
	s.seen[e].Replicas--
	if placement.Rank(s.nodes[n].hash, int(e)) >= s.top[e][1] {
		s.top[e] = [2]uint64{}
		for _, m := range s.holders[e] {
			s.rank(e, placement.Rank(s.nodes[m].hash, int(e)))
		}
	}
	if last < s.policy.Want {
		s.holes[e] = true
	}
}

// gain and lose change what a node holds.
func (s *placeSim) gain(n, e int32) {
	x := &s.nodes[n]
	x.held = append(x.held, e)
	x.used += placeBytes
	s.count(e, 1)
	if x.visible {
		s.show(n, e)
	}
}

func (s *placeSim) lose(n, e int32) {
	x := &s.nodes[n]
	at := slices.Index(x.held, e)
	x.held = slices.Delete(x.held, at, at+1)
	x.used -= placeBytes
	s.count(e, -1)
	if x.visible {
		s.hide(n, e)
	}
}

// shift moves demand: a tenth of the experts changes places with others.
func (s *placeSim) shift(int32) {
	for l := 0; l < len(s.demand); l += placeExperts {
		for range placeExperts / 20 {
			a, b := l+s.random.IntN(placeExperts), l+s.random.IntN(placeExperts)
			s.demand[a], s.demand[b] = s.demand[b], s.demand[a]
		}
	}
	for i := range s.seen {
		s.seen[i].Demand = s.demand[i]
	}
	s.after(-1, placeShift, (*placeSim).shift)
}

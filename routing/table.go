package routing

import (
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// table is what a router remembers about peers and holdings. Its owner locks.
// Peers are numbered, so that a plan works on small integers.
type table struct {
	policy    Policy
	index     map[Peer]int32
	estimates []Estimate // by number
	records   []record   // by number
	holdings  map[expert.ID]*holding
	sweptAt   time.Time
	sweeps    int  // each one renumbers
	typical   Size // moving average of the attempts made

	relayed func(Peer) bool     // nil: none is
	absent  map[Peer]Reputation // of peers that have no number
}

// record is what a table remembers of a peer besides its estimate.
type record struct {
	listedAt time.Time // when a plan last considered it
	probedAt time.Time
	probing  bool

	reputation Reputation

	attempts, calls, rows, retries, probes int
	bytesOut, bytesIn                      int64
	failures                               [failureKinds]int
}

// holding is who holds one expert: the directory's list and its translation
// into numbers. denied are those who said that they do not hold it.
type holding struct {
	peers   []Peer
	numbers []int32
	denied  []denial
}

type denial struct {
	peer  int32
	until time.Time
}

func newTable(p Policy) table {
	return table{policy: p, index: map[Peer]int32{}, holdings: map[expert.ID]*holding{}, absent: map[Peer]Reputation{}}
}

// number gives the peer's number, making one at first sight; false when the
// table is full.
func (t *table) number(peer Peer, now time.Time) (int32, bool) {
	if n, ok := t.index[peer]; ok {
		return n, true
	}
	if len(t.estimates) >= maxPeers && !t.sweep(now) {
		return 0, false
	}
	n := int32(len(t.estimates))
	t.index[peer] = n
	prior := NewEstimate
	if t.relayed != nil && t.relayed(peer) {
		prior = NewRelayedEstimate
	}
	rep, known := t.absent[peer]
	if !known {
		rep = NewReputation()
	}
	delete(t.absent, peer)
	t.estimates = append(t.estimates, prior(peer, t.policy))
	t.records = append(t.records, record{listedAt: now, reputation: rep})
	t.trusts(n)
	return n, true
}

// sweep forgets peers that no plan has considered for long and says whether
// that made room. It renumbers, so it drops what is cached by number, and it
// looks once a second at most, since a flood of names would have it look for
// each.
func (t *table) sweep(now time.Time) bool {
	if now.Sub(t.sweptAt) < time.Second {
		return false
	}
	t.sweptAt = now
	kept := 0
	for i := range t.estimates {
		idle := t.estimates[i].flying.Calls == 0 && t.estimates[i].Resting(now) == 0
		if idle && now.Sub(t.records[i].listedAt) > forgetPeerAfter {
			delete(t.index, t.estimates[i].Peer)
			if rep := t.records[i].reputation; !rep.Seen.IsZero() {
				t.keep(t.estimates[i].Peer, rep)
			}
			continue
		}
		t.estimates[kept], t.records[kept] = t.estimates[i], t.records[i]
		t.index[t.estimates[kept].Peer] = int32(kept)
		kept++
	}
	t.estimates, t.records = t.estimates[:kept], t.records[:kept]
	clear(t.holdings)
	t.sweeps++
	return kept < maxPeers
}

// learnAll brings what is known of the holders of the calls' experts up to
// the directory's lists. Should that renumber, what was learned before is
// lost, so it starts again; sweeps are too rare to do it twice.
func (t *table) learnAll(calls []expert.Call, which []int, listed [][]Peer, now time.Time) {
	for before := -1; before != t.sweeps; {
		before = t.sweeps
		for i, c := range which {
			t.learn(calls[c].Expert, listed[i], now)
		}
	}
}

func (t *table) learn(id expert.ID, listed []Peer, now time.Time) {
	h := t.holdings[id]
	if h == nil {
		if len(t.holdings) >= maxHoldings {
			clear(t.holdings)
		}
		h = &holding{}
		t.holdings[id] = h
	}
	if slices.Equal(h.peers, listed) {
		return
	}
	h.numbers = h.numbers[:0]
	for _, p := range listed {
		if n, ok := t.number(p, now); ok {
			h.numbers = append(h.numbers, n)
		}
	}
	h.peers = append(h.peers[:0], listed...)
	if len(h.numbers) < len(listed) {
		h.peers = h.peers[:0] // the table was full: try again next time
	}
}

// holders gives the numbers of those who hold the expert and have not denied
// it lately. The slice is read-only and valid until the table changes.
func (t *table) holders(id expert.ID, now time.Time) []int32 {
	h := t.holdings[id]
	if h == nil {
		return nil
	}
	for _, n := range h.numbers {
		t.records[n].listedAt = now
	}
	h.denied = slices.DeleteFunc(h.denied, func(d denial) bool { return !d.until.After(now) })
	if len(h.denied) == 0 {
		return h.numbers
	}
	return slices.DeleteFunc(slices.Clone(h.numbers), func(n int32) bool {
		return slices.ContainsFunc(h.denied, func(d denial) bool { return d.peer == n })
	})
}

// deny notes that a peer says it does not hold the expert.
func (t *table) deny(id expert.ID, peer Peer, now time.Time) {
	h, n := t.holdings[id], t.index[peer]
	if h == nil { // forgotten meanwhile, with all else
		return
	}
	h.denied = slices.DeleteFunc(h.denied, func(d denial) bool { return d.peer == n })
	h.denied = append(h.denied, denial{n, now.Add(unknownExpertBackoff)})
}

// find gives the peer's estimate and record, nil if it was forgotten.
func (t *table) find(peer Peer) (*Estimate, *record) {
	n, ok := t.index[peer]
	if !ok {
		return nil, nil
	}
	return &t.estimates[n], &t.records[n]
}

// sawSize averages the size of attempts: probes have the same.
func (t *table) sawSize(s Size) {
	if t.typical == (Size{}) {
		t.typical = s
		return
	}
	towards := func(old, new int) int { return old + (new-old)/8 }
	t.typical = Size{Bytes: towards(t.typical.Bytes, s.Bytes), Calls: towards(t.typical.Calls, s.Calls), Rows: towards(t.typical.Rows, s.Rows), Kind: s.Kind}
}

package swarm

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const selfPeer routing.Peer = "self"

func testTable(offers ...Offer) *holdings { return newHoldings(selfPeer, offers) }

func testNotice(m expert.ModelID, seq int64, held ...slot) notice {
	return notice{model: m, name: "m", shape: shape{layers: 4, experts: 8}, held: held, seq: seq}
}

func idOf(m expert.ModelID, s slot) expert.ID {
	return expert.ID{Model: m, Layer: uint16(s.layer()), Index: uint16(s.index())}
}

func mustAnnounce(t *testing.T, tab *holdings, p routing.Peer, n notice, now time.Time) bool {
	t.Helper()
	changed, err := tab.announce(p, n, now)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestAnnounceReplacesHoldings(t *testing.T) {
	tab, m, now := testTable(), expert.ModelID{1}, time.Unix(100, 0)
	if !mustAnnounce(t, tab, "a", testNotice(m, 1, 1, 2), now) {
		t.Error("news is not a change")
	}
	if mustAnnounce(t, tab, "a", testNotice(m, 2, 1, 2), now) {
		t.Error("a renewal is a change")
	}
	mustAnnounce(t, tab, "a", testNotice(m, 3, 2, 3), now)
	for s, want := range map[slot]int{1: 0, 2: 1, 3: 1} {
		if got := tab.holders(idOf(m, s)); len(got) != want {
			t.Errorf("slot %d: holders %v, want %d", s, got, want)
		}
	}
	// What was said earlier but comes later does not count.
	mustAnnounce(t, tab, "a", testNotice(m, 2, 1), now)
	if len(tab.holders(idOf(m, 1))) != 0 {
		t.Error("old news replaced newer")
	}
	// An announcement without holdings leaves them alone.
	mustAnnounce(t, tab, "a", notice{model: m, gates: true, seq: 4}, now)
	if len(tab.holders(idOf(m, 3))) != 1 || len(tab.gates(m)) != 1 {
		t.Error("a brief announcement: want the holdings as before, and a gate")
	}
}

func TestLeavingIsForGood(t *testing.T) {
	tab, m, now := testTable(), expert.ModelID{1}, time.Unix(100, 0)
	n := testNotice(m, 5, 1)
	n.gates = true
	mustAnnounce(t, tab, "a", n, now)
	mustAnnounce(t, tab, "a", notice{model: m, seq: 7, leaving: true}, now)
	if len(tab.holders(idOf(m, 1))) != 0 || len(tab.gates(m)) != 0 {
		t.Error("a peer that left is still named")
	}
	// Gossip from before the goodbye, and a provider record, come too late.
	mustAnnounce(t, tab, "a", testNotice(m, 6, 1), now)
	if _, err := tab.found("a", idOf(m, 1), now); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.foundGate("a", m, now); err != nil {
		t.Fatal(err)
	}
	if len(tab.holders(idOf(m, 1))) != 0 || len(tab.gates(m)) != 0 {
		t.Error("old news brought back a peer that left")
	}
	tab.expire(now.Add(announceTTL))
	if len(tab.peers) != 0 || len(tab.models) != 0 {
		t.Error("a goodbye is remembered for ever")
	}
}

func TestLostPeers(t *testing.T) {
	tab, m, now := testTable(), expert.ModelID{1}, time.Unix(100, 0)
	tab.connected("a")
	mustAnnounce(t, tab, "a", testNotice(m, 1, 1), now)
	named := func() bool { return len(tab.holders(idOf(m, 1))) == 1 }

	if tab.expire(now.Add(time.Hour)); !named() {
		t.Fatal("the word of a connected peer expired")
	}
	now = now.Add(time.Hour)
	if !tab.disconnected("a", now) || named() {
		t.Error("a lost peer is still named as a holder")
	}
	if _, err := tab.found("a", idOf(m, 2), now); err != nil || named() {
		t.Error("a provider record brought back a lost peer")
	}
	if tab.connected("a"); !named() {
		t.Error("a peer that came back is not named")
	}
	tab.disconnected("a", now)
	if mustAnnounce(t, tab, "a", testNotice(m, 2, 1), now); !named() {
		t.Error("a peer that was heard of again is not named")
	}
	if !tab.unreachable("a") || named() || tab.unreachable("a") {
		t.Error("an unreachable peer: want it unnamed, and changed once")
	}
	if tab.expire(now.Add(announceTTL)); len(tab.peers) != 0 {
		t.Error("a lost peer is kept for ever")
	}
}

// After a restart with a clock that was set back, a peer must be heard again.
func TestReconnectAcceptsOlderOrder(t *testing.T) {
	tab, m, now := testTable(), expert.ModelID{1}, time.Unix(100, 0)
	tab.connected("a")
	mustAnnounce(t, tab, "a", testNotice(m, 1000, 1), now)
	tab.disconnected("a", now)
	tab.connected("a")
	mustAnnounce(t, tab, "a", testNotice(m, 10, 2), now)
	if len(tab.holders(idOf(m, 2))) != 1 || len(tab.holders(idOf(m, 1))) != 0 {
		t.Error("a peer whose clock went back is not heard")
	}
}

func TestProviderRecords(t *testing.T) {
	tab, m, now := testTable(), expert.ModelID{1}, time.Unix(100, 0)
	for _, s := range []slot{3, 1, 2, 1} {
		if _, err := tab.found("a", idOf(m, s), now); err != nil {
			t.Fatal(err)
		}
	}
	if got := tab.claim("a", m).held; !slices.Equal(got, []slot{1, 2, 3}) {
		t.Errorf("held %v", got)
	}
	if !tab.refused("a", []expert.ID{idOf(m, 2), idOf(m, 9)}) || len(tab.holders(idOf(m, 2))) != 0 {
		t.Error("an expert that the peer refused is still held")
	}
	// The peer's own word replaces what records said.
	mustAnnounce(t, tab, "a", testNotice(m, 1, 5), now)
	if len(tab.holders(idOf(m, 1))) != 0 || len(tab.holders(idOf(m, 5))) != 1 {
		t.Error("records outlive the peer's own word")
	}
	if _, err := tab.found("a", idOf(m, 1), now); err != nil || len(tab.holders(idOf(m, 1))) != 0 {
		t.Error("a record wins over the peer's own word")
	}
	if _, err := tab.found("b", idOf(m, 1), now); err != nil {
		t.Fatal(err)
	}
	tab.connected("b") // a connection does not make a record last
	tab.expire(now.Add(foundTTL))
	if tab.peers["b"] != nil {
		t.Error("a record lasts for ever")
	}
	if _, err := tab.found(selfPeer, idOf(m, 1), now); err != nil || len(tab.holders(idOf(m, 1))) != 0 {
		t.Error("this node names itself as a holder")
	}
}

func TestTableLimits(t *testing.T) {
	now := time.Unix(100, 0)
	model := func(i int) expert.ModelID { return expert.ModelID{byte(i), byte(i >> 8), 9} }
	peer := func(i int) routing.Peer { return routing.Peer(fmt.Sprint("p", i)) }
	full := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, errTableFull) {
			t.Errorf("error %v, want %v", err, errTableFull)
		}
	}
	t.Run("models", func(t *testing.T) {
		tab := testTable(Offer{Model: model(500), Layers: []int{8}})
		tab.limit.models, tab.limit.peerModels = 10, 3
		for i := range 10 {
			mustAnnounce(t, tab, peer(i), testNotice(model(i), 1), now)
		}
		_, err := tab.announce(peer(1), testNotice(model(10), 1), now)
		full(t, err)
		mustAnnounce(t, tab, peer(1), testNotice(model(500), 1), now) // ours: always room
		mustAnnounce(t, tab, peer(1), testNotice(model(2), 1), now)
		_, err = tab.announce(peer(1), testNotice(model(3), 1), now)
		full(t, err)
	})
	t.Run("peers", func(t *testing.T) {
		tab := testTable()
		tab.limit.peers = 5
		for i := range 5 {
			mustAnnounce(t, tab, peer(i), testNotice(model(0), 1, 1), now)
		}
		_, err := tab.found(peer(9), idOf(model(0), 1), now)
		full(t, err)
		_, err = tab.foundGate(peer(9), model(0), now)
		full(t, err)
		tab.unreachable(peer(3)) // a lost peer makes room
		mustAnnounce(t, tab, peer(9), testNotice(model(0), 1, 1), now)
		if len(tab.peers) != 5 || tab.peers[peer(3)] != nil {
			t.Errorf("%d peers", len(tab.peers))
		}
	})
	t.Run("claims", func(t *testing.T) {
		tab := testTable()
		tab.limit.claims, tab.limit.peerClaims = 10, 6
		mustAnnounce(t, tab, "a", testNotice(model(0), 1, 1, 2, 3, 4), now)
		_, err := tab.announce("a", testNotice(model(1), 2, 1, 2, 3), now)
		full(t, err)
		mustAnnounce(t, tab, "b", testNotice(model(0), 1, 1, 2, 3, 4, 5), now)
		_, err = tab.announce("c", testNotice(model(0), 1, 1, 2), now)
		full(t, err)
		if tab.peers["c"] != nil || len(tab.peers["a"].claims) != 1 {
			t.Error("an announcement that was refused left something behind")
		}
		if _, err = tab.found("d", idOf(model(0), 1), now); err != nil {
			t.Error(err)
		}
		_, err = tab.found("d", idOf(model(0), 2), now)
		full(t, err)
		if tab.claims != 10 {
			t.Errorf("%d claims", tab.claims)
		}
	})
	t.Run("holders", func(t *testing.T) {
		tab, m := testTable(), model(0)
		tab.limit.holders = 3
		for i := range 5 {
			mustAnnounce(t, tab, peer(i), testNotice(m, 1, 1), now)
		}
		if got := tab.holders(idOf(m, 1)); len(got) != 3 {
			t.Errorf("%d holders named", len(got))
		}
		tab.unreachable(peer(0))
		mustAnnounce(t, tab, peer(4), testNotice(m, 2, 1), now) // room came up
		if got := tab.holders(idOf(m, 1)); !slices.Contains(got, peer(4)) {
			t.Errorf("holders %v, want %v among them", got, peer(4))
		}
	})
}

// The table against an obvious version of the same rules: every entry is
// kept, and every question is answered by looking at all of them.
func TestTableAgainstObviousVersion(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	models := []expert.ModelID{{1}, {2}}
	peers := []routing.Peer{"a", "b", "c", "d", selfPeer}
	tab, obvious := testTable(), newObvious()
	now := time.Unix(1_000_000, 0)
	type shared struct{ slice, copied []routing.Peer }
	var handedOut []shared
	for step := range 4000 {
		p, m := peers[rnd.IntN(len(peers))], models[rnd.IntN(2)]
		id := idOf(m, slot(rnd.IntN(4))<<16|slot(rnd.IntN(8)))
		var did string
		switch rnd.IntN(9) {
		case 0, 1, 2:
			n := notice{model: m, seq: int64(rnd.IntN(step + 10)), gates: rnd.IntN(2) == 0, leaving: rnd.IntN(6) == 0}
			if rnd.IntN(3) > 0 {
				n.shape = shape{layers: 4, experts: 8}
				for s := range 32 {
					if rnd.IntN(4) == 0 {
						n.held = append(n.held, slot(s/8)<<16|slot(s%8))
					}
				}
			}
			did = fmt.Sprintf("announce %s %+v", p, n)
			_, err := tab.announce(p, n, now)
			if err != nil {
				t.Fatal(err)
			}
			obvious.announce(p, n, now)
		case 3:
			did = fmt.Sprintf("found %s %v", p, id)
			_, _ = tab.found(p, id, now)
			obvious.found(p, id, now)
		case 4:
			did = fmt.Sprintf("foundGate %s", p)
			_, _ = tab.foundGate(p, m, now)
			obvious.foundGate(p, m, now)
		case 5:
			did = fmt.Sprintf("connected %s", p)
			tab.connected(p)
			obvious.connected(p)
		case 6:
			did = fmt.Sprintf("disconnected %s", p)
			tab.disconnected(p, now)
			obvious.disconnected(p, now)
		case 7:
			did = fmt.Sprintf("unreachable and refused %s", p)
			tab.unreachable(p)
			tab.refused(p, []expert.ID{id})
			obvious.usable[p] = false
			obvious.refused(p, id)
		case 8:
			now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
			did = "expire"
			tab.expire(now)
			obvious.expire(now)
		}
		claims := 0
		for _, m := range models {
			for s := range 32 {
				id := idOf(m, slot(s/8)<<16|slot(s%8))
				got := tab.holders(id)
				if want := obvious.holders(id); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
					t.Fatalf("step %d (%s): holders of %v: %v, want %v", step, did, id, got, want)
				}
				handedOut = append(handedOut, shared{got, slices.Clone(got)})
			}
			if got, want := slices.Sorted(slices.Values(tab.gates(m))), obvious.gates(m); !slices.Equal(got, want) {
				t.Fatalf("step %d (%s): gates %v, want %v", step, did, got, want)
			}
		}
		for _, e := range tab.peers {
			for _, c := range e.claims {
				claims += len(c.held)
			}
		}
		if claims != tab.claims {
			t.Fatalf("step %d (%s): %d claims counted, there are %d", step, did, tab.claims, claims)
		}
	}
	for _, s := range handedOut {
		if !slices.Equal(s.slice, s.copied) {
			t.Fatal("a slice that was handed out has changed")
		}
	}
}

// obvious is the slow version.
type obvious struct {
	facts         map[factKey]*fact
	usable, conns map[routing.Peer]bool
}

type factKey struct {
	peer  routing.Peer
	model expert.ModelID
}

type fact struct {
	held                        map[slot]bool
	gates, said, saidHeld, left bool
	seq                         int64
	ends, heldEnds              time.Time
}

func newObvious() *obvious {
	return &obvious{facts: make(map[factKey]*fact), usable: make(map[routing.Peer]bool), conns: make(map[routing.Peer]bool)}
}

// fact returns what is known, or makes a new entry. A peer that is new in
// the table counts as usable.
func (o *obvious) fact(p routing.Peer, m expert.ModelID) *fact {
	k := factKey{p, m}
	if o.facts[k] == nil {
		if !o.inTable(p) {
			o.usable[p] = true
		}
		o.facts[k] = &fact{held: make(map[slot]bool)}
	}
	return o.facts[k]
}

func (o *obvious) inTable(p routing.Peer) bool {
	for k := range o.facts {
		if k.peer == p {
			return true
		}
	}
	return false
}

func (o *obvious) announce(p routing.Peer, n notice, now time.Time) {
	f := o.facts[factKey{p, n.model}]
	if p == selfPeer || f != nil && f.said && n.seq <= f.seq || f == nil && n.leaving {
		return
	}
	f = o.fact(p, n.model)
	f.said, f.seq, f.left, f.gates, f.ends = true, n.seq, n.leaving, n.gates && !n.leaving, now.Add(announceTTL)
	if n.leaving {
		f.held, f.saidHeld = make(map[slot]bool), false
		return
	}
	o.usable[p] = true
	if n.shape != (shape{}) {
		f.held, f.saidHeld, f.heldEnds = make(map[slot]bool), true, now.Add(announceTTL)
		for _, s := range n.held {
			f.held[s] = true
		}
	}
}

func (o *obvious) found(p routing.Peer, id expert.ID, now time.Time) {
	f := o.facts[factKey{p, id.Model}]
	if p == selfPeer || f != nil && (f.saidHeld || f.left) {
		return
	}
	f = o.fact(p, id.Model)
	f.held[slotOf(id)], f.heldEnds = true, now.Add(foundTTL)
	if !f.said {
		f.ends = f.heldEnds
	}
}

func (o *obvious) foundGate(p routing.Peer, m expert.ModelID, now time.Time) {
	f := o.facts[factKey{p, m}]
	if p == selfPeer || f != nil && f.said {
		return
	}
	f = o.fact(p, m)
	f.gates, f.ends = true, now.Add(foundTTL)
}

func (o *obvious) refused(p routing.Peer, id expert.ID) {
	if f := o.facts[factKey{p, id.Model}]; f != nil {
		delete(f.held, slotOf(id))
	}
}

func (o *obvious) connected(p routing.Peer) {
	if !o.conns[p] {
		for k, f := range o.facts {
			if k.peer == p {
				f.seq = 0
			}
		}
	}
	o.conns[p], o.usable[p] = true, true
}

func (o *obvious) disconnected(p routing.Peer, now time.Time) {
	delete(o.conns, p)
	o.usable[p] = false
	for k, f := range o.facts {
		if k.peer == p && f.said {
			f.ends = now.Add(announceTTL)
		}
		if k.peer == p && f.saidHeld {
			f.heldEnds = now.Add(announceTTL)
		}
	}
}

func (o *obvious) expire(now time.Time) {
	for k, f := range o.facts {
		connected := o.conns[k.peer] && !f.left
		if len(f.held) > 0 && !now.Before(f.heldEnds) && !(connected && f.saidHeld) {
			f.held, f.saidHeld = make(map[slot]bool), false
		}
		if !now.Before(f.ends) && !(connected && f.said) {
			delete(o.facts, k)
		}
	}
}

func (o *obvious) holders(id expert.ID) []routing.Peer {
	return o.those(id.Model, func(f *fact) bool { return f.held[slotOf(id)] })
}

func (o *obvious) gates(m expert.ModelID) []routing.Peer {
	return o.those(m, func(f *fact) bool { return f.gates })
}

func (o *obvious) those(m expert.ModelID, ok func(*fact) bool) []routing.Peer {
	set := make(map[routing.Peer]bool)
	for k, f := range o.facts {
		if k.model == m && o.usable[k.peer] && ok(f) {
			set[k.peer] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func BenchmarkHolders(b *testing.B) {
	d := newDirectory(selfPeer, nil, time.Now)
	m := expert.ModelID{1}
	for i := range 32 {
		n := notice{model: m, shape: shape{layers: 48, experts: 128}, seq: 1}
		for l := range 48 {
			for x := range 128 {
				n.held = append(n.held, slot(l)<<16|slot(x))
			}
		}
		p := routing.Peer(fmt.Sprint("peer", i))
		if err := d.write(func(t *holdings, now time.Time) (bool, error) { return t.announce(p, n, now) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var x uint16
	for b.Loop() {
		x++
		if len(d.Holders(expert.ID{Model: m, Layer: x % 48, Index: x % 128})) != 32 {
			b.Fatal("holders are missing")
		}
	}
}

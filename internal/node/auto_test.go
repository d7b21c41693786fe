package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/placement"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// TestViewOf: what peers say, each by its standing, becomes what placement
// decides from.
func TestViewOf(t *testing.T) {
	m := tiny(t)
	man := m.Manifest()
	slot := func(i int) expert.Slot {
		return expert.Slot{Layer: int(man.IDs()[i].Layer), Index: int(man.IDs()[i].Index)}
	}
	claims := []swarm.Claim{
		{Peer: "a", Usable: true, Gates: true, Held: []expert.Slot{slot(0), slot(1)}, Demand: map[expert.Slot]float64{slot(0): 3}},
		{Peer: "b", Usable: true, Memory: 1 << 30, Held: []expert.Slot{slot(0), slot(2)}, Wanted: []expert.Slot{slot(2), slot(3)}},
		{Peer: "c", Usable: true, Paused: true, Memory: 1, Held: []expert.Slot{slot(0)}},
		{Peer: "d", Usable: false, Held: []expert.Slot{slot(0)}},
		{Peer: "bad", Usable: true, Held: []expert.Slot{slot(0), slot(1)}},
	}
	v := viewOf(surroundings{self: "me", man: man, claims: claims, held: map[expert.Slot]bool{slot(1): true},
		standing: func(p routing.Peer) float64 { return map[bool]float64{true: 0, false: 1}[p == "bad"] },
		lost:     func(s expert.Slot) bool { return s == slot(4) }})
	above := func(peer string, i int) int {
		if placement.Rank(placement.PeerHash(peer), i) > placement.Rank(placement.PeerHash("me"), i) {
			return 1
		}
		return 0
	}
	for i, want := range []placement.Expert{
		{Replicas: 2, Above: above("a", 0) + above("b", 0), Demand: 3},
		{Replicas: 1, Above: above("a", 1), Held: true},
		{}, // b wants it taken over
		{Intended: above("b", 3)},
		{Lost: true},
	} {
		got := v.Experts[i]
		if want.Bytes = man.Experts[i].Size; got != want {
			t.Errorf("expert %d: %+v, want %+v", i, got, want)
		}
	}
	if v.Takers != 1 {
		t.Errorf("%d takers, want 1", v.Takers)
	}
}

// TestAuto: nodes that choose their experts come to hold each of them a second
// time, beside one that holds all, and keep to their budgets.
func TestAuto(t *testing.T) {
	m := tiny(t)
	ids := m.Manifest().IDs()
	var size int64
	for _, p := range m.Manifest().Experts {
		size += p.Size
	}
	seeder := running(t, Config{Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(ids)}}})
	var nodes []*Node
	for range 3 {
		nodes = append(nodes, running(t, Config{Join: seeder.Addrs(), Models: []Model{{Name: "tiny", Model: m, Auto: true, Memory: size/2 + 1}}}))
	}
	holders := func(id expert.ID) (n int) {
		for _, x := range nodes {
			if x.sets[m.ID()].Holds(id) {
				n++
			}
		}
		return n
	}
	deadline := time.Now().Add(40 * time.Second)
	for slices.ContainsFunc(ids, func(id expert.ID) bool { return holders(id) == 0 }) {
		if time.Now().After(deadline) {
			for _, x := range nodes {
				t.Log(len(x.sets[m.ID()].IDs()), x.net.Claims(m.ID()))
			}
			t.Fatal("an expert has no holder but the seeder")
		}
		<-time.After(100 * time.Millisecond)
	}
	for i, x := range nodes {
		if set := x.sets[m.ID()]; set.Bytes() > size/2+1 {
			t.Errorf("node %d holds %d of %d bytes", i, set.Bytes(), size/2+1)
		}
	}
}

// TestDemandMeter: demand is relative to the layer, and nothing is said after
// a handful of calls.
func TestDemandMeter(t *testing.T) {
	m := tiny(t)
	d := newDemandMeter([]Model{{Model: m}})
	ids := m.Manifest().IDs()
	d.count([]expert.Call{{Expert: ids[0], Rows: []int32{0}}})
	if got := d.of(m.ID()); got != nil {
		t.Errorf("after one call: %v", got)
	}
	for range demandLeast * m.Experts() {
		d.count([]expert.Call{{Expert: ids[0], Rows: []int32{0, 1, 2}}, {Expert: ids[1], Rows: []int32{1}}})
	}
	got := d.of(m.ID())
	if n := fmt.Sprintf("%.1f %.1f", got[ids[0]]*4/float64(m.Experts()), got[ids[1]]*4/float64(m.Experts())); n != "3.0 1.0" {
		t.Errorf("shares %s of the calls, want 3 and 1 of 4", n)
	}
	if _, ok := got[ids[2]]; ok {
		t.Error("an expert that nobody asked for has a number")
	}
}

// TestHandOver: a node that is stopped while only it has experts waits until
// another that chooses its own has taken them; alone, it says what goes with it.
func TestHandOver(t *testing.T) {
	m := tiny(t)
	ids := m.Manifest().IDs()
	var size int64
	for _, p := range m.Manifest().Experts {
		size += p.Size
	}
	var mu sync.Mutex
	var said []string
	leave := func(cfg Config, before func(*Node)) {
		t.Helper()
		said = nil
		cfg.Say = func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprintf(format, args...))
		}
		cfg.Listen, cfg.Models = []string{"/ip4/127.0.0.1/tcp/0"}, []Model{{Name: "tiny", Model: m, Auto: true, Memory: size}}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		<-n.Ready()
		for len(n.sets[m.ID()].IDs()) < len(ids) { // it takes all, being alone
			<-time.After(20 * time.Millisecond)
		}
		before(n)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	has := func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, text) })
	}
	leave(Config{}, func(*Node) {})
	if !has("nobody took over layers 0-") {
		t.Errorf("a node that leaves alone said %q", said)
	}
	var heir *Node
	leave(Config{handOver: time.Minute}, func(n *Node) {
		heir = running(t, Config{Join: n.Addrs(), Models: []Model{{Name: "tiny", Model: m, Auto: true, Memory: size}}})
		for len(n.net.Claims(m.ID())) == 0 {
			<-n.net.Changed()
		}
	})
	if left := len(ids) - len(heir.sets[m.ID()].IDs()); left > 0 || has("nobody took over") {
		t.Errorf("%d experts were not taken over; it said %q", left, said)
	}
}

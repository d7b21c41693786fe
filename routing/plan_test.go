package routing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// instance is an input of Plan, drawn from a seed.
type instance struct {
	w     Work
	peers []Estimate
	now   time.Time
}

// draw makes an instance with so many calls and peers at most. Some peers rest,
// some are suspect, some pairs are excluded, some calls have no holder.
func draw(t testing.TB, seed uint64, calls, peers int, healthy bool) instance {
	source := rand.New(rand.NewPCG(seed, 4))
	p := testPolicy(t)
	in := instance{now: epoch}
	in.w = Work{Rows: 1 + source.IntN(40), Dim: 64 << source.IntN(4), Sum: source.IntN(2) == 0}
	for i := range 1 + source.IntN(peers) {
		e := NewEstimate(Peer(fmt.Sprint("peer ", i)), p)
		if source.IntN(5) > 0 {
			base := time.Duration(1+source.IntN(50)) * time.Millisecond
			perRow := time.Duration(source.IntN(2000)) * time.Microsecond
			for range 3 {
				rows := 1 + source.IntN(20)
				work := time.Duration(rows) * perRow
				e.Observe(Sample{Size: Size{Bytes: rows * 2048, Calls: 1, Rows: rows}, Took: base + work, Compute: work}, in.now.Add(-time.Second))
			}
		}
		switch {
		case healthy:
		case source.IntN(6) == 0:
			e.Fail(in.now, in.now, p) // resting
		case source.IntN(6) == 0:
			e.Fail(in.now.Add(-time.Minute), in.now.Add(-time.Minute), p) // suspect
		}
		in.peers = append(in.peers, e)
	}
	for i := range 1 + source.IntN(calls) {
		in.w.Calls = append(in.w.Calls, expert.Call{Expert: expert.ID{Index: uint16(i)}, Rows: make([]int32, 1+source.IntN(in.w.Rows))})
		var holders, excluded []int32
		for h := range in.peers {
			if source.IntN(3) == 0 {
				holders = append(holders, int32(h))
			} else if !healthy && source.IntN(8) == 0 {
				excluded = append(excluded, int32(h))
			}
			if !healthy && len(holders) > 0 && source.IntN(10) == 0 {
				excluded = append(excluded, holders[source.IntN(len(holders))])
			}
		}
		if healthy && len(holders) == 0 {
			holders = append(holders, int32(source.IntN(len(in.peers))))
		}
		in.w.Holders, in.w.Excluded = append(in.w.Holders, holders), append(in.w.Excluded, excluded)
		if healthy || source.IntN(5) > 0 {
			in.w.Place = append(in.w.Place, i)
		}
	}
	return in
}

// usable says whether peer h may be asked for call c.
func (in *instance) usable(c int, h int32) bool {
	return in.peers[h].askable(in.now) && !slices.Contains(in.w.Excluded[c], h)
}

// layerTime is when the slowest peer of a plan is done, by what a plan reckons
// with: the mean raised by the peer's risk.
func (in *instance) layerTime(attempts []Attempt) (slowest time.Duration) {
	for _, a := range attempts {
		if a.After > 0 {
			continue
		}
		i := slices.IndexFunc(in.peers, func(e Estimate) bool { return e.Peer == a.Peer })
		took := in.peers[i].Expected(in.w.size(a.Calls), in.now).Seconds() * in.peers[i].risk(in.now)
		slowest = max(slowest, seconds(took))
	}
	return slowest
}

// checkPlan holds a plan to everything that Plan promises about its form.
func checkPlan(t testing.TB, in *instance, attempts []Attempt, err error) {
	t.Helper()
	placed := map[int]int{}
	asked := map[Peer]bool{}
	attempts = checkHedges(t, in, attempts)
	for _, a := range attempts {
		if asked[a.Peer] {
			t.Errorf("two attempts at %s", a.Peer)
		}
		asked[a.Peer] = true
		if len(a.Calls) == 0 || !slices.IsSorted(a.Calls) {
			t.Errorf("attempt %+v", a)
		}
		h := int32(slices.IndexFunc(in.peers, func(e Estimate) bool { return e.Peer == a.Peer }))
		for _, c := range a.Calls {
			placed[c]++
			if !slices.Contains(in.w.Holders[c], h) {
				t.Errorf("call %d went to %s, which does not hold it", c, a.Peer)
			}
			if !in.usable(c, h) {
				t.Errorf("call %d went to %s, which must not be asked", c, a.Peer)
			}
		}
	}
	var left []int
	for _, c := range in.w.Place {
		if !slices.ContainsFunc(in.w.Holders[c], func(h int32) bool { return in.usable(c, h) }) {
			left = append(left, c)
			placed[c]++
		}
	}
	for _, c := range in.w.Place {
		if placed[c] != 1 {
			t.Errorf("call %d placed %d times", c, placed[c])
		}
		delete(placed, c)
	}
	if len(placed) > 0 {
		t.Errorf("placed without being asked to: %v", placed)
	}
	var u *Unplaced
	if errors.As(err, &u) != (len(left) > 0) || u != nil && !slices.Equal(u.Calls, left) {
		t.Errorf("error %v, want one for the calls %v", err, left)
	}
	if u != nil && !errors.Is(err, expert.ErrNoHolder) {
		t.Errorf("error %v does not wrap %v", err, expert.ErrNoHolder)
	}
}

// checkHedges holds the hedges of a plan to what Plan promises about them and
// returns the attempts without them. Each repeats calls of one attempt at
// another, healthy holder, and no call is repeated twice.
func checkHedges(t testing.TB, in *instance, all []Attempt) []Attempt {
	t.Helper()
	first := slices.IndexFunc(all, func(a Attempt) bool { return a.After > 0 })
	if first < 0 {
		return all
	}
	repeated := map[int]bool{}
	for _, hedge := range all[first:] {
		h := int32(slices.IndexFunc(in.peers, func(e Estimate) bool { return e.Peer == hedge.Peer }))
		of := slices.IndexFunc(all[:first], func(a Attempt) bool { return slices.Contains(a.Calls, hedge.Calls[0]) })
		if of < 0 || hedge.After <= 0 || hedge.Peer == all[of].Peer || in.peers[h].Suspect() || !slices.IsSorted(hedge.Calls) {
			t.Errorf("hedge %+v", hedge)
			continue
		}
		for _, c := range hedge.Calls {
			if repeated[c] || !slices.Contains(all[of].Calls, c) || !slices.Contains(in.w.Holders[c], h) || !in.usable(c, h) {
				t.Errorf("hedge %+v of %+v, call %d", hedge, all[of], c)
			}
			repeated[c] = true
		}
	}
	return all[:first]
}

func TestPlanPlacesEveryCallOnce(t *testing.T) {
	var reused planner
	for seed := range uint64(3000) {
		in := draw(t, seed, 40, 20, false)
		attempts, err := Plan(in.w, in.peers, in.now, seed)
		checkPlan(t, &in, attempts, err)
		again, _ := reused.plan(in.w, in.peers, in.now, seed)
		if len(again)+len(attempts) > 0 && !reflect.DeepEqual(attempts, again) {
			t.Errorf("the same arguments give another plan:\n%v\n%v", attempts, again)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(3), false)
	f.Add(uint64(2), uint8(60), uint8(1), true)
	f.Add(uint64(3), uint8(1), uint8(60), false)
	f.Fuzz(func(t *testing.T, seed uint64, calls, peers uint8, healthy bool) {
		in := draw(t, seed, 1+int(calls), 1+int(peers), healthy)
		attempts, err := Plan(in.w, in.peers, in.now, seed)
		checkPlan(t, &in, attempts, err)
	})
}

// Against trying all placements, the plan's layer takes at most 1.3 times as
// long, and on average within 1 %.
func TestPlanIsNearTheBest(t *testing.T) {
	const factor, onAverage, seeds = 1.3, 1.01, 600
	worst, sum := 0.0, 0.0
	for seed := range uint64(seeds) {
		in := draw(t, seed, 6, 4, true)
		attempts, err := Plan(in.w, in.peers, in.now, seed)
		if err != nil {
			t.Fatal(err)
		}
		ratio := in.layerTime(attempts).Seconds() / in.best().Seconds()
		sum += ratio
		worst = max(worst, ratio)
		if ratio > factor {
			t.Errorf("seed %d: layer takes %.2f times the least possible", seed, ratio)
		}
	}
	t.Logf("worst %.2f, mean %.3f", worst, sum/seeds)
	if sum/seeds > onAverage {
		t.Errorf("on average %.3f times the least possible", sum/seeds)
	}
}

// best tries every placement.
func (in *instance) best() time.Duration {
	byPeer := make([][]int, len(in.peers))
	var try func(i int) time.Duration
	try = func(i int) time.Duration {
		if i == len(in.w.Place) {
			var attempts []Attempt
			for h, calls := range byPeer {
				if len(calls) > 0 {
					attempts = append(attempts, Attempt{Peer: in.peers[h].Peer, Calls: calls})
				}
			}
			return in.layerTime(attempts)
		}
		least := time.Duration(1 << 62)
		for _, h := range in.w.Holders[in.w.Place[i]] {
			byPeer[h] = append(byPeer[h], in.w.Place[i])
			least = min(least, try(i+1))
			byPeer[h] = byPeer[h][:len(byPeer[h])-1]
		}
		return least
	}
	return try(0)
}

// at gives a peer an exact, steady pace.
func at(t testing.TB, name Peer, rtt, perCall time.Duration) Estimate {
	e := NewEstimate(name, testPolicy(t))
	e.Observe(Sample{Size: Size{Bytes: 512, Calls: 1, Rows: 1}, Took: rtt + perCall, Compute: perCall}, epoch)
	return e
}

func oneRowWork(calls int, holders ...int32) Work {
	w := Work{Rows: 1, Dim: 64}
	for c := range calls {
		w.Calls = append(w.Calls, expert.Call{Expert: expert.ID{Index: uint16(c)}, Rows: []int32{0}})
		w.Holders = append(w.Holders, holders)
		w.Place = append(w.Place, c)
	}
	return w
}

func TestPlanStories(t *testing.T) {
	const ms = time.Millisecond
	suspect := at(t, "suspect", ms, 0)
	suspect.Fail(epoch.Add(-time.Minute), epoch.Add(-time.Minute), testPolicy(t))
	busy := at(t, "busy", 5*ms, ms)
	busy.flying = Size{Calls: 30, Rows: 30}
	forced := oneRowWork(3, 0, 1)
	forced.Holders[2] = []int32{1}
	for _, c := range []struct {
		name  string
		peers []Estimate
		w     Work
		want  map[Peer]int // calls
	}{
		{"the near one", []Estimate{at(t, "near", 5*ms, ms/10), at(t, "far", 30*ms, ms/10)}, oneRowWork(4, 0, 1), map[Peer]int{"near": 4}},
		{"alike and far: one frame will do", []Estimate{at(t, "a", 30*ms, ms/10), at(t, "b", 30*ms, ms/10)}, oneRowWork(8, 0, 1), map[Peer]int{"a": 8}},
		{"alike and slow: shared out", []Estimate{at(t, "a", ms, 10*ms), at(t, "b", ms, 10*ms)}, oneRowWork(8, 0, 1), map[Peer]int{"a": 4, "b": 4}},
		{"a fast and a slow one", []Estimate{at(t, "fast", ms, 5*ms), at(t, "slow", ms, 20*ms)}, oneRowWork(5, 0, 1), map[Peer]int{"fast": 4, "slow": 1}},
		{"suspects are the last choice", []Estimate{suspect, at(t, "far", 300*ms, ms)}, oneRowWork(3, 0, 1), map[Peer]int{"far": 3}},
		{"but a choice", []Estimate{suspect}, oneRowWork(2, 0), map[Peer]int{"suspect": 2}},
		{"our own attempts under way count", []Estimate{busy, at(t, "idle", 20*ms, ms)}, oneRowWork(3, 0, 1), map[Peer]int{"idle": 3}},
		{"a forced far peer does not attract others", []Estimate{at(t, "near", 5*ms, ms), at(t, "far", 90*ms, ms)}, forced, map[Peer]int{"near": 2, "far": 1}},
	} {
		attempts, err := Plan(c.w, c.peers, epoch.Add(time.Second), 1)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := map[Peer]int{}
		for _, a := range attempts {
			if a.After == 0 {
				got[a.Peer] = len(a.Calls)
			}
		}
		if len(got) == 1 && len(c.want) == 1 && c.want["a"] == got["a"]+got["b"] {
			continue // which of two that are alike is the seed's choice
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Routers with different seeds spread over peers that are alike.
func TestPlanSpreadsTies(t *testing.T) {
	var peers []Estimate
	for i := range 4 {
		peers = append(peers, at(t, Peer(fmt.Sprint(i)), time.Millisecond, 0))
	}
	count := map[Peer]int{}
	for seed := range uint64(400) {
		attempts, _ := Plan(oneRowWork(1, 0, 1, 2, 3), peers, epoch, seed)
		count[attempts[0].Peer]++
	}
	for p, n := range count {
		if n < 60 || n > 140 {
			t.Errorf("peer %s chosen by %d of 400 seeds", p, n)
		}
	}
}

// Many routers that know the same spread over the holders that are as good,
// within a few percent, and over no other: nobody's single best is stampeded.
func TestPlanSpreadsOverGoodChoices(t *testing.T) {
	peers := []Estimate{
		at(t, "best", 10*time.Millisecond, 0), at(t, "as good", 10*time.Millisecond+100*time.Microsecond, 0),
		at(t, "nearly", 10*time.Millisecond+200*time.Microsecond, 0), at(t, "worse", 11*time.Millisecond, 0),
	}
	count := map[Peer]int{}
	for seed := range uint64(1000) {
		attempts, _ := Plan(oneRowWork(1, 0, 1, 2, 3), peers, epoch, seed)
		count[attempts[0].Peer]++
	}
	if count["worse"] > 0 || count["best"] > 700 || count["as good"] < 150 || count["nearly"] < 50 {
		t.Errorf("chosen: %v", count)
	}
}

// swarmOf is a layer of 128 calls over 1,000 peers with some replicas each.
func swarmOf(t testing.TB, replicas int) instance {
	source := rand.New(rand.NewPCG(1, 5))
	in := instance{now: epoch.Add(time.Second), w: Work{Rows: 32, Dim: 2048, Sum: true}}
	for i := range 1000 {
		in.peers = append(in.peers, at(t, Peer(fmt.Sprint("peer", i)), time.Duration(1+source.IntN(100))*time.Millisecond, time.Duration(source.IntN(3000))*time.Microsecond))
	}
	for c := range 128 {
		in.w.Calls = append(in.w.Calls, expert.Call{Expert: expert.ID{Index: uint16(c)}, Rows: make([]int32, 1+source.IntN(8))})
		var h []int32
		for _, p := range source.Perm(1000)[:replicas] {
			h = append(h, int32(p))
		}
		in.w.Holders, in.w.Place = append(in.w.Holders, h), append(in.w.Place, c)
	}
	return in
}

func TestPlanReusesItsScratch(t *testing.T) {
	in := swarmOf(t, 8)
	var p planner
	p.plan(in.w, in.peers, in.now, 1)
	if n := testing.AllocsPerRun(10, func() { p.plan(in.w, in.peers, in.now, 1) }); n > 0 {
		t.Errorf("%v allocations a plan", n)
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, replicas := range []int{2, 8, 32, 1000} {
		b.Run(fmt.Sprintf("128 experts, 1000 peers, %d holders each", replicas), func(b *testing.B) {
			in := swarmOf(b, replicas)
			var p planner
			b.ReportAllocs()
			for b.Loop() {
				p.plan(in.w, in.peers, in.now, 1)
			}
		})
	}
}

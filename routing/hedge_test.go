package routing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

const ms = time.Millisecond

// rich fills the budget of duplicates.
func rich(r *Router) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.budget.left = budgetMost
}

// both runs a story for results and for sums.
func both(t *testing.T, story func(t *testing.T, sum bool)) {
	for _, sum := range []bool{false, true} {
		t.Run(fmt.Sprintf("sum=%v", sum), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { story(t, sum) })
		})
	}
}

// askLayer asks for one row of the given experts and returns how long it took.
func askLayer(t *testing.T, r *Router, sum bool, ids ...expert.ID) time.Duration {
	t.Helper()
	in := experttest.Batch(1, 1, testDim)
	var calls []expert.Call
	for _, id := range ids {
		calls = append(calls, expert.Call{Expert: id, Rows: []int32{0}, Weights: []float32{0.5}})
	}
	began := time.Now()
	if !sum {
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		return time.Since(began)
	}
	got, err := r.Sum(t.Context(), in, calls)
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := reference().Sum(t.Context(), in, calls)
	for i := range want.Data {
		if d := got.Data[i] - want.Data[i]; d > 1e-4 || d < -1e-4 {
			t.Errorf("value %d of the sum is %v, want %v", i, got.Data[i], want.Data[i])
		}
	}
	return took
}

func TestParseHedge(t *testing.T) {
	for s, want := range map[string]Hedge{"off": HedgeOff, "auto": HedgeAuto, "20ms": Hedge(20 * ms), "1s": Hedge(time.Second)} {
		got, err := ParseHedge(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "on", "0s", "-3ms", "20", "OFF"} {
		if got, err := ParseHedge(s); err == nil {
			t.Errorf("%q: %v and no error", s, got)
		}
	}
}

// Over any sequence, what is paid stays below the share of what was earned.
func TestBudgetIsNeverExceeded(t *testing.T) {
	for seed := range uint64(200) {
		source := rand.New(rand.NewPCG(seed, 11))
		share := source.Float64()
		var b tokens
		earned, paid := 0, 0
		for range 500 {
			n := 1 + source.IntN(20)
			if source.IntN(2) == 0 {
				earned += n
				b.earn(n, share)
			} else if b.pay(n) {
				paid += n
			}
			if float64(paid) > share*float64(earned)+1e-6 || b.left < 0 || b.left > budgetMost {
				t.Fatalf("seed %d: %d duplicates of %d calls with a share of %.3f; %.2f left", seed, paid, earned, share, b.left)
			}
		}
	}
}

// The peer asked hangs: after its p95 the next best is asked too, answers, and
// the first is told to stop, without blame.
func TestHedgeWins(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		n.join("a", 10*ms, hanging, testIDs[:4]...)
		n.join("b", 12*ms, nil, testIDs[:4]...)
		r := newTestRouter(t, n)
		measure(r, "a", 10*ms)
		measure(r, "b", 12*ms)
		rich(r)
		if took := askLayer(t, r, sum, testIDs[:4]...); took < 22*ms || took > 23*ms {
			t.Errorf("took %v, want a's p95 and b's 12 ms", took)
		}
		got := r.Totals()
		if got.Hedges != 1 || got.HedgedCalls != 4 || got.HedgesWon != 1 || got.WastedRows != 4 || got.Failovers != 0 {
			t.Errorf("totals %+v", got)
		}
		if a := r.Peers()[0]; a.Suspect || a.Failures[Cancelled] != 1 || a.Reputation.Punctual >= 1 {
			t.Errorf("the one that was outrun: %+v", a)
		}
		// It is known to be slow now: the next round does not ask it first.
		if took := askLayer(t, r, sum, testIDs[:4]...); took != 12*ms {
			t.Errorf("the next round took %v, want 12 ms", took)
		}
		idle(t, r)
	})
}

// The peer asked is a little late and still first: the duplicate is cancelled.
func TestHedgeLoses(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		a := n.join("a", 10*ms, nil, testIDs[:4]...)
		n.join("b", 40*ms, nil, testIDs[:4]...)
		r := newTestRouter(t, n)
		measure(r, "a", 10*ms)
		measure(r, "b", 40*ms)
		rich(r)
		n.change(func() { a.rtt = 20 * ms })
		if took := askLayer(t, r, sum, testIDs[:4]...); took != 20*ms {
			t.Errorf("took %v, want a's 20 ms", took)
		}
		got := r.Totals()
		if got.Hedges != 1 || got.HedgesWon != 0 || got.WastedRows != 4 {
			t.Errorf("totals %+v", got)
		}
		if b := r.Peers()[1]; b.Suspect || b.Failures[Cancelled] != 1 || b.Reputation.Punctual < 1 || b.Expected > 41*ms {
			t.Errorf("the duplicate's peer: %+v", b)
		}
		idle(t, r)
	})
}

// Of a sum, all or nothing: two duplicates that share an attempt out are used
// when both are there; if the whole attempt is answered before, it is.
func TestSumOfSharedOutHedges(t *testing.T) {
	for _, c := range []struct {
		name     string
		a        time.Duration
		f        fault
		least    time.Duration
		hedgeWon int
	}{
		{"the attempt hangs", 10 * ms, hanging, 50 * ms, 2},
		{"the attempt is between the two", 35 * ms, nil, 35 * ms, 0},
		{"the attempt fails between the two", 35 * ms, failing(expert.ErrUnreachable), 50 * ms, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newFakeNet()
				a := n.join("a", 10*ms, c.f, testIDs[:4]...)
				n.join("b", 15*ms, nil, testIDs[:2]...)
				n.join("c", 40*ms, nil, testIDs[2:4]...)
				r := newTestRouter(t, n)
				measure(r, "a", 10*ms)
				measure(r, "b", 15*ms)
				measure(r, "c", 40*ms)
				rich(r)
				n.change(func() { a.rtt = c.a })
				if took := askLayer(t, r, true, testIDs[:4]...); took < c.least || took > c.least+2*ms {
					t.Errorf("took %v, want about %v", took, c.least)
				}
				if got := r.Totals(); got.Hedges != 2 || got.HedgesWon != c.hedgeWon {
					t.Errorf("totals %+v", got)
				}
				idle(t, r)
			})
		})
	}
}

// Off is off, and a fixed time is kept.
func TestHedgePolicies(t *testing.T) {
	for _, c := range []struct {
		hedge Hedge
		want  time.Duration
	}{{HedgeOff, 82 * ms}, {Hedge(30 * ms), 42 * ms}} {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			slow := n.join("a", 10*ms, nil, testIDs[:4]...)
			n.join("b", 12*ms, nil, testIDs[:4]...)
			r := newTestRouter(t, n, func(cfg *Config) { cfg.Policy.Hedge = c.hedge; cfg.Policy.CutoffFloor = 70 * ms })
			measure(r, "a", 10*ms)
			measure(r, "b", 12*ms)
			rich(r)
			n.change(func() { slow.rtt = time.Minute })
			if took := askLayer(t, r, false, testIDs[:4]...); took != c.want {
				t.Errorf("hedge %v: took %v, want %v", c.hedge, took, c.want)
			}
		})
	}
}

// Without a budget, a known peer that hangs is cut off soon, and blamed. One
// that nobody could replace is given more time, and is then asked again, with
// twice the time and without a rest, since its ask may be lost.
func TestCutoff(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		n.join("a", ms, hanging, testIDs[:4]...)
		n.join("b", 12*ms, nil, testIDs[:2]...)
		r := newTestRouter(t, n)
		measure(r, "a", ms)
		measure(r, "b", 12*ms)
		if took := askLayer(t, r, sum, testIDs[:2]...); took != 62*ms {
			t.Errorf("took %v, want the 50 ms of the cutoff and 12", took)
		}
		if a := r.Peers()[0]; !a.Suspect || a.Failures[Straggled] != 1 {
			t.Errorf("not blamed: %+v", a)
		}
		n.change(func() { n.peers["a"].fault = hangsOnce() })
		if took := askLayer(t, r, sum, testIDs[2:4]...); took < loneFloor || took > loneFloor*5/4 {
			t.Errorf("the only holder lost an ask: took %v, want %v and a little", took, loneFloor)
		}
		n.change(func() { n.peers["a"].rtt = 150 * ms })
		if took := askLayer(t, r, sum, testIDs[2:4]...); took != 150*ms {
			t.Errorf("the only holder: took %v, want its 150 ms", took)
		}
		n.change(func() { n.peers["a"].rtt = 3 * time.Second })
		if took := askLayer(t, r, sum, testIDs[2:4]...); took > 8*time.Second {
			t.Errorf("the only holder, which takes 3 s: took %v, want at most twice its time and some pauses", took)
		}
	})
}

// A peer whose tail decides the layer is duplicated at once, as long as the
// budget is more than half full.
func TestCriticalCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", 10*ms, hanging, testIDs[:2]...)
		n.join("b", 15*ms, nil, testIDs[:2]...)
		r := newTestRouter(t, n)
		measure(r, "b", 15*ms)
		unsteady := func() {
			measure(r, "a", 10*ms)
			r.mu.Lock()
			e, _ := r.mu.table.find("a")
			for range 5 {
				e.spread.observe(6, 0)
			}
			r.mu.Unlock()
		}
		unsteady()
		// Its risk makes a second to b; make b look worse, so that a is asked.
		r.mu.Lock()
		e, _ := r.mu.table.find("b")
		e.trust = 10
		r.mu.Unlock()
		rich(r)
		if took := askLayer(t, r, false, testIDs[:2]...); took > 16*ms {
			t.Errorf("took %v, want b's 15 ms: its duplicate starts at once", took)
		}
		if got := r.Totals(); got.Hedges != 1 || got.HedgesWon != 1 {
			t.Errorf("%d hedges, %d won", got.Hedges, got.HedgesWon)
		}
	})
}

// slowReplica asks layers of three replicas of which one at a time, at random
// moments, is ten times slower.
func slowReplica(t *testing.T, seed uint64, hedge Hedge) (p50, p99 time.Duration, share float64) {
	source := rand.New(rand.NewPCG(seed, 21))
	n := newFakeNet()
	peers := []*fakePeer{}
	for i := range 3 {
		peers = append(peers, n.join(Peer('a'+rune(i)), 10*ms, nil, testIDs...))
	}
	r := newTestRouter(t, n, func(c *Config) { c.Policy.Hedge = hedge; c.Policy.Seed = seed + 1 })
	runWith(t, r, func(context.Context) {
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs, 1, 4)
		var took []time.Duration
		slowUntil, slow := time.Time{}, 0
		for range 4000 {
			now := time.Now()
			n.change(func() {
				if now.After(slowUntil) && source.IntN(100) == 0 {
					slow = source.IntN(3)
					slowUntil = now.Add(time.Duration(50+source.IntN(450)) * ms)
				}
				for i, p := range peers {
					p.rtt = 10*ms + time.Duration(source.IntN(1000))*time.Microsecond
					if i == slow && now.Before(slowUntil) {
						p.rtt *= 10
					}
				}
			})
			sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
			took = append(took, time.Since(now))
		}
		slices.Sort(took)
		p50, p99 = took[len(took)/2], took[len(took)*99/100]
	})
	got := r.Totals()
	idle(t, r)
	return p50, p99, float64(got.HedgedCalls) / float64(4*4000)
}

// Issue 3, slow-replica: p99 at most twice p50, with at most 5 % duplicates.
func TestSlowReplica(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			p50, p99, share := slowReplica(t, seed, HedgeAuto)
			_, without, _ := slowReplica(t, seed, HedgeOff)
			t.Logf("seed %d: p50 %v, p99 %v with %.2f %% duplicates; p99 without %v", seed, p50, p99, 100*share, without)
			if p99 > 2*p50 || share > 0.05 {
				t.Errorf("seed %d: p50 %v, p99 %v, %.2f %% duplicates", seed, p50, p99, 100*share)
			}
		})
	}
}

// Issue 3, stale-map: two replicas probed at 5 and 30 ms, swapped to 50 and 5:
// p50 at most 8 ms over 256 calls, recovered within 10.
func TestStaleMap(t *testing.T) {
	for _, hedge := range []Hedge{HedgeAuto, HedgeOff} {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			a := n.join("a", 5*ms, nil, testIDs...)
			b := n.join("b", 30*ms, nil, testIDs...)
			r := newTestRouter(t, n, func(c *Config) { c.Policy.Hedge = hedge })
			for peer, rtt := range map[Peer]time.Duration{"a": 5 * ms, "b": 30 * ms} {
				r.mu.Lock()
				num, _ := r.mu.table.number(peer, time.Now())
				for range 3 {
					r.mu.table.estimates[num].Probed(256, rtt, Load{}, time.Now())
				}
				r.mu.Unlock()
			}
			n.change(func() { a.rtt, b.rtt = 50*ms, 5*ms })
			var took []time.Duration
			for range 256 {
				took = append(took, askLayer(t, r, false, testIDs[0]))
			}
			recovered := 1 + slices.IndexFunc(took, func(d time.Duration) bool { return d <= 8*ms })
			for i, d := range took {
				if d > 8*ms {
					recovered = i + 2
				}
			}
			slices.Sort(took)
			t.Logf("hedge %v: p50 %v, recovered at call %d", hedge, took[128], recovered)
			if took[128] > 8*ms || recovered > 10 {
				t.Errorf("hedge %v: p50 %v, recovered at call %d", hedge, took[128], recovered)
			}
		})
	}
}

// Where processors and not the way are what an attempt waits for, it is not
// duplicated at its p95, which load alone explains; a given time is obeyed.
func TestHedgeKnowsWhatIsShort(t *testing.T) {
	for _, tt := range []struct {
		hedge Hedge
		busy  float64
		want  time.Duration
	}{
		{HedgeAuto, 0.1, 20 * ms},
		{HedgeAuto, 0.5, 20 * ms},
		{HedgeAuto, 0.6, 60 * ms},
		{HedgeAuto, 1, 60 * ms},
		{Hedge(7 * ms), 1, 7 * ms},
	} {
		if got := tt.hedge.after(20*ms, tt.busy); got != tt.want {
			t.Errorf("hedge %v, busy %v: after %v, want %v", tt.hedge, tt.busy, got, tt.want)
		}
	}
	// The same in a plan: two peers on a fast line, busy for 10 ms a call, and two
	// that are far and quick.
	for name, c := range map[string]struct {
		way, work time.Duration
		factor    float64
	}{
		"the way":    {30 * ms, ms, 1},
		"processors": {ms, 10 * ms, busyPatience},
	} {
		w := Work{Rows: 1, Dim: 256, Calls: []expert.Call{{Rows: []int32{0}}}, Place: []int{0}, Holders: [][]int32{{0, 1}}}
		peers := straying(t, 2, c.way, c.way/10, c.work)
		attempts, err := Plan(w, peers, epoch, 1)
		if err != nil || len(attempts) != 2 {
			t.Fatalf("%s: %v, %v", name, attempts, err)
		}
		for i := range peers {
			if e := &peers[i]; e.Peer == attempts[0].Peer {
				want := time.Duration(c.factor * float64(e.Tail(w.size([]int{0}), epoch)))
				if !near(attempts[1].After, want, want/50) {
					t.Errorf("%s: duplicated after %v, want %v", name, attempts[1].After, want)
				}
			}
		}
	}
}

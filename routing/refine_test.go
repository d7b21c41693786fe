package routing

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// The maximum of two normal variables, against drawing them.
func TestLatest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range [][4]float64{{30, 3, 30, 3}, {30, 3, 33, 1}, {30, 0, 30, 2}, {50, 5, 30, 5}} {
		mean, variance := latest(c[0], c[1]*c[1], c[2], c[3]*c[3])
		var sum, squares float64
		const n = 200_000
		for range n {
			x := max(c[0]+c[1]*r.NormFloat64(), c[2]+c[3]*r.NormFloat64())
			sum += x
			squares += x * x
		}
		want := sum / n
		if math.Abs(mean-want) > 0.03 || math.Abs(math.Sqrt(variance)-math.Sqrt(squares/n-want*want)) > 0.05 {
			t.Errorf("%v: mean %.3f, deviation %.3f; drawn %.3f, %.3f", c, mean, math.Sqrt(variance), want, math.Sqrt(squares/n-want*want))
		}
	}
	if mean, variance := latest(3, 0, 2, 0); mean != 3 || variance != 0 {
		t.Errorf("two certain times: %v, %v", mean, variance)
	}
	if math.Abs(growth(1)-1/math.Sqrt(math.Pi)) > 0.001 || growth(100) <= 0 {
		t.Errorf("growth(1) is %v", growth(1))
	}
}

// straying makes peers at the same distance whose answers stray by ±jitter.
func straying(t *testing.T, n int, rtt, jitter, perCall time.Duration) []Estimate {
	r := rand.New(rand.NewPCG(3, 5))
	p := testPolicy(t)
	var peers []Estimate
	for i := range n {
		e := NewEstimate(Peer(fmt.Sprint("p", i)), p)
		at := epoch.Add(-10 * time.Second)
		for range 300 {
			s := Sample{Size: Size{Bytes: 8192, Calls: 1, Rows: 1}, Compute: perCall}
			s.Expected = e.Expected(s.Size, at)
			s.Took = rtt + perCall + time.Duration((2*r.Float64()-1)*float64(jitter))
			e.Observe(s, at)
			at = at.Add(30 * ms)
		}
		// The moving mean is where it may be; the test is about the spread.
		e.net.y = (rtt).Seconds()
		e.refresh()
		peers = append(peers, e)
	}
	return peers
}

// Eight calls, three peers, each expert at two of them, any two have all: where
// answers stray a lot, two peers finish sooner than three, since the maximum of
// fewer is smaller; where they do not, three do.
func TestPlanKnowsTheSpread(t *testing.T) {
	w := Work{Rows: 1, Dim: 128}
	for i := range 8 {
		w.Calls = append(w.Calls, expert.Call{Expert: expert.ID{Index: uint16(i)}, Rows: []int32{0}})
		w.Place = append(w.Place, i)
		w.Holders = append(w.Holders, []int32{int32(i % 3), int32((i + 1) % 3)})
	}
	for _, tt := range []struct {
		jitter time.Duration
		peers  int
		most   int // calls at one
	}{{5 * ms, 2, 5}, {0, 3, 3}} {
		peers := straying(t, 3, 30*ms, tt.jitter, 500*time.Microsecond)
		w.Hedge = HedgeOff
		attempts, err := Plan(w, peers, epoch, 1)
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for _, a := range attempts {
			most = max(most, len(a.Calls))
		}
		if len(attempts) != tt.peers || most > tt.most {
			t.Errorf("jitter %v: %d peers with %d calls at most, want %d with %d", tt.jitter, len(attempts), most, tt.peers, tt.most)
		}
	}
}

// Refining never makes a plan later, keeps every call at a holder that may be
// asked, and keeps the counts right.
func TestRefine(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		peers := straying(t, 2+r.IntN(7), time.Duration(r.IntN(40))*ms, time.Duration(r.IntN(4))*ms, 400*time.Microsecond)
		w := Work{Rows: 4, Dim: 512, Hedge: HedgeOff}
		for i := range 1 + r.IntN(12) {
			var holders, excluded []int32
			for h := range peers {
				if r.IntN(3) > 0 {
					holders = append(holders, int32(h))
				}
				if r.IntN(6) == 0 {
					excluded = append(excluded, int32(h))
				}
			}
			w.Calls = append(w.Calls, expert.Call{Expert: expert.ID{Index: uint16(i)}, Rows: []int32{0, 1}[:1+r.IntN(2)]})
			w.Place = append(w.Place, i)
			w.Holders, w.Excluded = append(w.Holders, holders), append(w.Excluded, excluded)
		}
		var p planner
		attempts, left := p.plan(w, peers, epoch, seed)
		var planned []int
		for _, a := range attempts {
			h := int32(slices.IndexFunc(peers, func(e Estimate) bool { return e.Peer == a.Peer }))
			for _, c := range a.Calls {
				planned = append(planned, c)
				if !slices.Contains(w.Holders[c], h) || slices.Contains(w.Excluded[c], h) {
					t.Fatalf("seed %d: call %d is at peer %d; holders %v, excluded %v", seed, c, h, w.Holders[c], w.Excluded[c])
				}
			}
		}
		if len(planned)+len(left) != len(w.Calls) {
			t.Fatalf("seed %d: %d calls planned, %d left, of %d", seed, len(planned), len(left), len(w.Calls))
		}
		for i := range p.slots {
			calls, rows := 0, 0
			for k, at := range p.chosen {
				if at == int32(i) {
					calls, rows = calls+1, rows+len(w.Calls[p.order[k]].Rows)
				}
			}
			if p.slots[i].calls != calls || p.slots[i].rows != rows {
				t.Fatalf("seed %d: slot %d counts %d calls, %d rows; it has %d, %d", seed, i, p.slots[i].calls, p.slots[i].rows, calls, rows)
			}
		}
		if len(p.used) >= 2 && len(p.used) <= refineMost {
			before := p.completion(&w)
			p.refine(&w)
			if after := p.completion(&w); after > before*(1+refineGain) {
				t.Fatalf("seed %d: refining again makes %v of %v", seed, after, before)
			}
		}
	}
}

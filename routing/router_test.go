package routing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

func TestNewChecksItsConfig(t *testing.T) {
	n, f := newFakeNet(), reference()
	for name, c := range map[string]Config{
		"nothing":                 {},
		"local without its list":  {Local: f},
		"list without local":      {LocalHolds: f.Holds, Directory: n, Caller: n},
		"directory without calls": {Local: f, LocalHolds: f.Holds, Directory: n},
		"negative back-off":       {Directory: n, Caller: n, Policy: Policy{BackoffMin: -1}},
		"hasty deadline":          {Directory: n, Caller: n, Policy: Policy{DeadlineFactor: 0.5}},
		"back-off upside down":    {Directory: n, Caller: n, Policy: Policy{BackoffMin: time.Minute}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// slowApplier takes its time.
type slowApplier struct {
	expert.Applier
	takes time.Duration
}

func (s slowApplier) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	if err := sleep(ctx, s.takes); err != nil {
		return allFailed(len(calls), err)
	}
	return s.Applier.Apply(ctx, in, calls)
}

// Local experts are computed while peers work. The local Applier here cannot
// sum, so Sum shows that too.
func TestLocalAndRemoteAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", 10*time.Millisecond, nil, testIDs[4:]...)
		r := newTestRouter(t, n, withLocal(testIDs[:4]...), func(c *Config) { c.Local = slowApplier{c.Local, 10 * time.Millisecond} })
		in, calls := experttest.Batch(1, 3, testDim), experttest.Calls(1, testIDs, 3, 4)
		began := time.Now()
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if _, err := r.Sum(t.Context(), in, calls); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("two rounds took %v, want 20 ms", took)
		}
		for _, entry := range n.took() {
			if strings.ContainsAny(entry, "0123") {
				t.Errorf("asked %q", entry)
			}
		}
		mine := 0
		for _, c := range calls {
			if c.Expert.Index < 4 {
				mine++
			}
		}
		got := r.Totals()
		if got.LocalCalls != 2*mine || got.RemoteCalls != 2*(len(calls)-mine) || got.Rounds != 2 || got.BytesOut != 200 || got.BytesIn != 400 {
			t.Errorf("totals %+v", got)
		}
		if p50 := got.Round.Quantile(0.5); p50 < 9*time.Millisecond || p50 > 11*time.Millisecond {
			t.Errorf("median round %v, want 10 ms", p50)
		}
	})
}

// An expert that was thought to be held here is asked of a peer.
func TestLocalExpertGone(t *testing.T) {
	n := newFakeNet()
	n.join("a", 0, nil, testIDs...)
	r := newTestRouter(t, n, withLocal(testIDs[:2]...), func(c *Config) {
		c.LocalHolds = func(id expert.ID) bool { return id.Index < 4 }
	})
	in, calls := experttest.Batch(1, 3, testDim), experttest.Calls(1, testIDs[:4], 3, 2)
	sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
	if _, err := r.Sum(t.Context(), in, calls); err != nil {
		t.Error(err)
	}
}

// Partial sums are added in an order that does not depend on who is first.
func TestSumOrder(t *testing.T) {
	in, calls := experttest.Batch(1, 5, testDim), experttest.Calls(1, testIDs, 5, 6)
	var want []float32
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			source := rand.New(rand.NewPCG(seed, 0))
			n := newFakeNet()
			for i := range 3 {
				n.join(Peer('a'+rune(i)), time.Duration(source.IntN(50))*time.Millisecond, nil, testIDs[2*i:2*i+2]...)
			}
			r := newTestRouter(t, n, withLocal(testIDs[6:]...))
			got, err := r.Sum(t.Context(), in, calls)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got.Data
			} else if !slices.Equal(got.Data, want) {
				t.Errorf("seed %d: the order of arrival shows in the sum", seed)
			}
		})
	}
}

// A large attempt is cut between calls, so that no frame is too large.
func TestLargeAttemptIsCut(t *testing.T) {
	w := Work{Rows: 2048, Dim: 1024, Calls: make([]expert.Call, 4)}
	for i := range w.Calls {
		w.Calls[i].Rows = make([]int32, 1024) // 4 MiB out and 4 MiB back
	}
	if got := w.fitting([]int{0, 1, 2, 3}); got != 2 {
		t.Errorf("%d calls in a frame, want 2", got)
	}
	w.Rows, w.Sum = 1024, true // all calls on the same rows, one sum: 8 MiB in all
	if got := w.fitting([]int{0, 1, 2, 3}); got != 4 {
		t.Errorf("%d calls in a frame, want 4", got)
	}
	w.Calls = slices.Repeat(w.Calls, 3) // 48 MiB of work, however small the sum
	if got := w.fitting([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}); got != 8 {
		t.Errorf("%d calls in a frame, want 8", got)
	}
	w = Work{Rows: 1 << 14, Dim: 1 << 12, Calls: []expert.Call{{Rows: make([]int32, 1<<14)}, {Rows: make([]int32, 1)}}}
	if got := w.fitting([]int{0, 1}); got != 1 {
		t.Errorf("%d calls in a frame, want 1: it cannot be cut further", got)
	}
}

// When ctx ends, Apply ends at once and with it all attempts.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", time.Millisecond, hanging, testIDs[:4]...)
		n.join("b", time.Millisecond, nil, testIDs[4:7]...)
		r := newTestRouter(t, n)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		in, calls := experttest.Batch(1, 4, testDim), experttest.Calls(1, testIDs, 4, 5)
		began := time.Now()
		got := r.Apply(ctx, in, calls)
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("took %v, want 100 ms", took)
		}
		for i, c := range calls {
			if answered := c.Expert.Index >= 4 && c.Expert.Index < 7; answered != (got[i].Err == nil) {
				t.Errorf("%v: %v", c.Expert, got[i].Err)
			} else if !answered && !errors.Is(got[i].Err, context.DeadlineExceeded) {
				t.Errorf("%v: %v, want the error of the context", c.Expert, got[i].Err)
			}
		}
		if a := r.Peers()[0]; a.Suspect || a.Failures[Cancelled] != 1 {
			t.Errorf("the peer is blamed for our giving up: %+v", a)
		}
		idle(t, r)
	})
}

// Many rounds at once over a swarm in which everybody fails in some way at
// some time: every result is right.
func TestChaos(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	source := rand.New(rand.NewPCG(seed, 3))
	n := newFakeNet()
	n.join("steady", 80*time.Millisecond, nil, testIDs...)
	for i := range 6 {
		f := faults[source.IntN(len(faults))].fault
		p := n.join(Peer(fmt.Sprint("p", i)), time.Duration(1+source.IntN(40))*time.Millisecond, every(2+source.IntN(9), f),
			testIDs[source.IntN(4):4+source.IntN(5)]...)
		p.perRow = time.Duration(source.IntN(500)) * time.Microsecond
	}
	r := newTestRouter(t, n, withLocal(testIDs[source.IntN(8)]))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var rounds sync.WaitGroup
	for g := range uint64(4) {
		rounds.Go(func() {
			for i := range uint64(60) {
				s := seed<<32 | g<<16 | i
				in, calls := experttest.Batch(s, 1+int(i)%5, testDim), experttest.Calls(s, testIDs, 1+int(i)%5, 3)
				if i%3 == 0 {
					if _, err := r.Sum(ctx, in, calls); err != nil {
						t.Errorf("round %d of %d: %v", i, g, err)
					}
					continue
				}
				sameAsReference(t, in, calls, r.Apply(ctx, in, calls))
			}
		})
	}
	rounds.Wait()
	stop()
	wg.Wait()
	idle(t, r)
	if got := r.Totals(); got.Rounds+got.LocalRounds != 240 || got.Failovers == 0 {
		t.Errorf("%d and %d rounds, %d failovers; want 240 in all, with failovers", got.Rounds, got.LocalRounds, got.Failovers)
	}
}

// BenchmarkRound is the router's own cost of a layer: 8 experts of one row at
// 4 peers that answer at once.
func BenchmarkRound(b *testing.B) {
	n := newFakeNet()
	for i := range 4 {
		n.join(Peer('a'+rune(i)), 0, nil, testIDs[2*i:2*i+2]...)
	}
	r, err := New(Config{Directory: n, Caller: n})
	if err != nil {
		b.Fatal(err)
	}
	in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs, 1, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sum(b.Context(), in, calls); err != nil {
			b.Fatal(err)
		}
	}
}

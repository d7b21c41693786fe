package routing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// TestLentResults: results lie in memory that the next layer uses, after whatever
// this one went through; answers' own memory is given back then, once, and never
// where results are for keeps.
func TestLentResults(t *testing.T) {
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 1))
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var given, taken atomic.Int64
		lend := func(_ context.Context, _ int, _ Ask, got Answer) (Answer, error) {
			given.Add(1)
			var once atomic.Bool
			got.Done = func() {
				if once.Swap(true) {
					t.Error("an answer was given back twice")
				}
				taken.Add(1)
				for _, r := range got.Results {
					clear(r.Out.Data)
				}
			}
			return got, nil
		}
		flaky := func(ctx context.Context, i int, a Ask, got Answer) (Answer, error) {
			switch draw.IntN(6) {
			case 0:
				return Answer{}, fmt.Errorf("flaky: %w", expert.ErrUnreachable)
			case 1:
				return hanging(ctx, i, a, got)
			case 2:
				return nan(ctx, i, a, got)
			}
			return lend(ctx, i, a, got)
		}
		n.join("a", ms, flaky, testIDs[:6]...)
		n.join("b", 2*ms, lend, testIDs[2:]...)
		n.join("c", 3*ms, lend, testIDs...)
		r := newTestRouter(t, n, withLocal(testIDs[0]))
		var room expert.Room
		for k := range 200 {
			rows := 1 + draw.IntN(3)
			in, calls := experttest.Batch(draw.Uint64(), rows, testDim), experttest.Calls(draw.Uint64(), testIDs, rows, 1+draw.IntN(4))
			if k%5 == 4 {
				before := taken.Load()
				got := r.Apply(t.Context(), in, calls)
				if taken.Load() != before {
					t.Fatalf("seed %d, layer %d: results for keeps took memory of others", seed, k)
				}
				sameAsReference(t, in, calls, got)
				continue
			}
			sameAsReference(t, in, calls, r.ApplyIn(t.Context(), in, calls, &room))
		}
		idle(t, r)
		if given.Load() < 100 || taken.Load() < given.Load()/2 {
			t.Errorf("seed %d: %d answers, %d of them given back", seed, given.Load(), taken.Load())
		}
	})
}

// TestAnswersWaitForTheLast: answers do not wake the round while the others are
// about to come; it moves the calls of one that failed at once all the same.
func TestAnswersWaitForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("quick", ms, nil, testIDs[0])
		n.join("broken", ms, failing(expert.ErrUnreachable), testIDs[1])
		n.join("late", 40*ms, nil, testIDs[2]) // other than expected
		n.join("spare", 2*ms, nil, testIDs[1])
		r := newTestRouter(t, n, func(c *Config) { c.Policy.Hedge = HedgeOff })
		measure(r, "quick", ms)
		measure(r, "broken", ms)
		measure(r, "late", 2*ms)
		measure(r, "spare", 20*ms)
		began := time.Now()
		ended := make(chan time.Duration)
		go func() {
			for { // when was the spare asked?
				synctest.Wait()
				n.mu.Lock()
				asked := strings.Contains(strings.Join(n.log, " "), "spare")
				n.mu.Unlock()
				if asked {
					ended <- time.Since(began)
					return
				}
				<-time.After(ms)
			}
		}()
		if took := askLayer(t, r, false, testIDs[:3]...); took != 40*ms {
			t.Errorf("took %v", took)
		}
		if moved := <-ended; moved > 3*ms {
			t.Errorf("what failed after 1 ms moved after %v", moved)
		}
		idle(t, r)
	})
}

// TestPatience: what wakes a round that waits.
func TestPatience(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name   string
		nap    nap
		due    int // with this one
		urgent bool
		wakes  bool
	}{
		{"the last", nap{patient: true, until: now}, 1, false, true},
		{"one whose others are due now", nap{patient: true, until: now}, 2, false, false},
		{"one whose others come soon", nap{patient: true, until: now.Add(together)}, 3, false, false},
		{"one whose others come later", nap{patient: true, until: now.Add(together + ms)}, 2, false, true},
		{"a failure", nap{patient: true, until: now}, 2, true, true},
		{"any", nap{}, 2, false, true},
	} {
		b := newInbox()
		for range tt.due {
			b.expect()
		}
		if !b.rest(tt.nap) {
			t.Fatal("something is there")
		}
		b.put(&outcome{}, now, tt.urgent)
		if woken := len(b.some) == 1; woken != tt.wakes {
			t.Errorf("%s: woken %v", tt.name, woken)
		}
		if b.rest(tt.nap) {
			t.Errorf("%s: rests although something is there", tt.name)
		}
		if b.take() == nil || b.take() != nil {
			t.Errorf("%s: is not there once", tt.name)
		}
	}
}

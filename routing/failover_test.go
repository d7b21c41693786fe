package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// faults are the misbehaviours and the kind of failure each must count as.
var faults = []struct {
	name  string
	fault fault
	kind  Failure
}{
	{"overloaded", failing(expert.ErrOverloaded), Overloaded},
	{"lost", failing(expert.ErrUnreachable), Unreachable},
	{"unnamed error", failing(errors.New("oops")), Unreachable},
	{"gave up by itself", failing(context.Canceled), Unreachable},
	{"denies", failing(expert.ErrUnknownExpert), UnknownHere},
	{"denies most", partly(expert.ErrUnknownExpert), UnknownHere},
	{"loses most", partly(expert.ErrUnreachable), Unreachable},
	{"calls it wrong", failing(expert.ErrBadCall), BadCall},
	{"hangs", hanging, Straggled},
	{"says bad result", failing(expert.ErrBadResult), BadResult},
	{"NaN", nan, BadResult},
	{"Inf", inf, BadResult},
	{"too wide", tooWide, BadResult},
	{"too long", tooLong, BadResult},
	{"too short", tooShort, BadResult},
	{"empty", empty, BadResult},
	{"nothing", nothing, BadResult},
	{"too many", tooMany, BadResult},
}

// A failed attempt goes to another holder at once, and the failed peer is
// left alone. Both modes.
func TestFailover(t *testing.T) {
	for _, c := range faults {
		for _, sum := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sum=%v", c.name, sum), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { failsOver(t, c.fault, c.kind, sum) })
			})
		}
	}
}

func failsOver(t *testing.T, f fault, kind Failure, sum bool) {
	n := newFakeNet()
	n.join("bad", time.Millisecond, f, testIDs[:4]...)
	n.join("good", 10*time.Millisecond, nil, testIDs[:4]...)
	r := newTestRouter(t, n)
	measure(r, "bad", time.Millisecond)
	measure(r, "good", 10*time.Millisecond)
	in, calls := experttest.Batch(1, 3, testDim), experttest.Calls(1, testIDs[:4], 3, 2)

	began := time.Now()
	for range 2 {
		if sum {
			if _, err := r.Sum(t.Context(), in, calls); err != nil {
				t.Fatal(err)
			}
		} else {
			sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		}
	}
	limit := 22 * time.Millisecond
	if kind == Straggled {
		limit += 2 * time.Second
	}
	if took := time.Since(began); took > limit {
		t.Errorf("took %v, want at most %v: the peer that failed should be left alone", took, limit)
	}
	if log := n.took(); len(log) != 3 && kind != UnknownHere { // that one keeps its other holdings
		t.Errorf("asks %q, want one at the bad peer and two at the good one", log)
	}
	bad := r.Peers()[0]
	if bad.Failures[kind] != 1 {
		t.Errorf("failures %v, want one of kind %v", bad.Failures, kind)
	}
	switch kind {
	case Overloaded, UnknownHere:
		if bad.Suspect {
			t.Error("blamed for what is no fault")
		}
	default:
		if !bad.Suspect || bad.Resting == 0 {
			t.Error("not blamed")
		}
	}
	if kind == BadResult && bad.Resting < time.Minute {
		t.Errorf("left alone for only %v", bad.Resting)
	}
	if got := r.Totals().Failovers; got != 1 {
		t.Errorf("%d failovers, want 1", got)
	}
	if good := r.Peers()[1]; good.Retries == 0 || good.Retries == good.Calls {
		t.Errorf("retries %d of %d calls, want those of the first round", good.Retries, good.Calls)
	}
	idle(t, r)
}

// measure makes a router believe that it has measured a peer. It counts as
// listed, since tests measure what they then plan with.
func measure(r *Router, peer Peer, rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, _ := r.mu.table.number(peer, time.Now())
	for range 20 {
		r.mu.table.estimates[n].Observe(Sample{Size: Size{Bytes: 256, Calls: 4, Rows: 4}, Took: rtt}, time.Now())
	}
}

// Only the calls of the peer that failed are planned again, also for a sum.
func TestOnlyFailedCallsMove(t *testing.T) {
	for _, sum := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			n.join("a", time.Millisecond, failing(expert.ErrUnreachable), testIDs[:2]...)
			n.join("b", time.Millisecond, nil, testIDs[2:4]...)
			n.join("c", 50*time.Millisecond, nil, testIDs[:4]...)
			r := newTestRouter(t, n)
			measure(r, "a", time.Millisecond)
			measure(r, "b", time.Millisecond)
			measure(r, "c", 50*time.Millisecond)
			in, calls := experttest.Batch(1, 4, testDim), experttest.Calls(3, testIDs[:4], 4, 3)
			if sum {
				if _, err := r.Sum(t.Context(), in, calls); err != nil {
					t.Fatal(err)
				}
			} else {
				sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
			}
			log := n.took()
			slices.Sort(log)
			if want := []string{"a: 0 1", "b: 2 3", "c: 0 1"}; !slices.Equal(log, want) {
				t.Errorf("asks %q, want %q", log, want)
			}
		})
	}
}

// The only holder is gone for a while: the call waits, the swarm is searched,
// and the answer comes once it is back.
func TestHolderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		p := n.join("only", time.Millisecond, nil, testIDs[:3]...)
		n.change(func() { delete(n.peers, "only") })
		time.AfterFunc(7*time.Second, func() { n.change(func() { n.peers["only"] = p }) })
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs[:3], 2, 2)
		began := time.Now()
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if took := time.Since(began); took < 7*time.Second || took > 13*time.Second {
			t.Errorf("took %v, want soon after 7 s", took)
		}
		if len(n.missing) == 0 {
			t.Error("the swarm was not searched")
		}
		if len(n.missing) > 15*len(calls) {
			t.Errorf("%d look-ups", len(n.missing))
		}
		idle(t, r)
	})
}

// A new holder appears while a call waits for one.
func TestNewHolderAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		time.AfterFunc(3*time.Second, func() { n.join("new", time.Millisecond, nil, testIDs...) })
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs, 2, 2)
		began := time.Now()
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("took %v, want soon after 3 s", took)
		}
	})
}

// Nobody holds an expert: the others are answered, and the error names it.
func TestMissingExpert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", time.Millisecond, nil, testIDs[:3]...)
		r := newTestRouter(t, n)
		in := experttest.Batch(1, 1, testDim)
		var calls []expert.Call
		for _, id := range testIDs[:4] {
			calls = append(calls, expert.Call{Expert: id, Rows: []int32{0}, Weights: []float32{1}})
		}
		began := time.Now()
		got := r.Apply(t.Context(), in, calls)
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("gave up after %v, want 20 s", took)
		}
		sameAsReference(t, in, calls[:3], got[:3])
		wantMissing(t, got[3].Err)
		if _, err := r.Sum(t.Context(), in, calls); true {
			wantMissing(t, err)
		}
		if log := n.took(); len(log) != 2 {
			t.Errorf("asks %q, want one a round", log)
		}
		if got := r.Totals().Missing; got != 2 {
			t.Errorf("%d missing, want 2", got)
		}
		if slices.ContainsFunc(n.missing, func(id expert.ID) bool { return id != testIDs[3] }) {
			t.Errorf("searched for %v", n.missing)
		}
	})
}

func wantMissing(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, expert.ErrNoHolder) || !strings.Contains(err.Error(), "layer 2 expert 3") {
		t.Errorf("got %v, want %v that names the expert", err, expert.ErrNoHolder)
	}
}

// A full queue is waited for, but it is no reason to search the swarm.
func TestOnlyHolderIsOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("busy", time.Millisecond, func(_ context.Context, i int, _ Ask, honest Answer) (Answer, error) {
			if i <= 3 {
				return Answer{}, busyFor(100 * time.Millisecond)
			}
			return honest, nil
		}, testIDs...)
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs, 2, 2)
		began := time.Now()
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if took := time.Since(began); took < 300*time.Millisecond || took > 500*time.Millisecond {
			t.Errorf("took %v, want thrice the 100 ms that the peer asks for", took)
		}
		if len(n.missing) > 0 {
			t.Error("searched the swarm for a holder that is merely busy")
		}
	})
}

type busyFor time.Duration

func (b busyFor) Error() string             { return "busy" }
func (b busyFor) Unwrap() error             { return expert.ErrOverloaded }
func (b busyFor) RetryAfter() time.Duration { return time.Duration(b) }

// A swarm slower than the deadline is not a swarm that fails: the deadline
// grows until the only holder makes it.
func TestSlowOnlyHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("slow", 3*time.Second, nil, testIDs...)
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs, 2, 2)
		for range 3 {
			sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		}
		if p := r.Peers()[0]; p.Failures[Straggled] != 1 {
			t.Errorf("failures %v, want one straggler: then its pace is known", p.Failures)
		}
	})
}

// One peer's word that a call is wrong is not enough, two are.
func TestBadCallNeedsTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", time.Millisecond, failing(expert.ErrBadCall), testIDs...)
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs, 2, 2)
		began := time.Now()
		for _, res := range r.Apply(t.Context(), in, calls) {
			if !errors.Is(res.Err, expert.ErrBadCall) {
				t.Errorf("the only holder refuses: got %v", res.Err)
			}
		}
		n.join("b", time.Millisecond, failing(expert.ErrBadCall), testIDs...)
		n.join("c", time.Minute, nil, testIDs...)
		measure(r, "c", time.Minute)
		if _, err := r.Sum(t.Context(), in, calls); !errors.Is(err, expert.ErrBadCall) {
			t.Errorf("two holders refuse: got %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		for _, p := range r.Peers() {
			if p.Suspect || p.Resting > 0 {
				t.Errorf("%s is blamed for a call that two call wrong", p.Peer)
			}
		}
	})
}

// denied is a refusal of a whole frame that names the expert it is about.
type denied uint16

func (d denied) Error() string                 { return "not held" }
func (d denied) Unwrap() error                 { return expert.ErrUnknownExpert }
func (d denied) UnknownExpert() (uint16, bool) { return uint16(d), true }

// A denied holding is not used again for a while; the peer's others are. The
// peer may answer the other calls, or refuse the frame and name the expert.
func TestDeniedHolding(t *testing.T) {
	t.Run("by call", func(t *testing.T) { deniesOne(t, nil, "far: 2", "far: 2", "near: 0", "near: 0 2") })
	t.Run("by frame", func(t *testing.T) {
		deniesOne(t, func(_ context.Context, _ int, a Ask, honest Answer) (Answer, error) {
			if slices.ContainsFunc(a.Calls, func(c expert.Call) bool { return c.Expert.Index == 2 }) {
				return Answer{}, denied(2)
			}
			return honest, nil
		}, "far: 0 2", "far: 2", "near: 0", "near: 0 2")
	})
}

func deniesOne(t *testing.T, f fault, want ...string) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("near", time.Millisecond, f, testIDs[:2]...)
		n.join("far", 20*time.Millisecond, nil, testIDs[:3]...)
		n.change(func() { n.holders[testIDs[2]] = []Peer{"far", "near"} }) // near gave it up
		r := newTestRouter(t, n)
		measure(r, "near", time.Millisecond)
		measure(r, "far", 20*time.Millisecond)
		in := experttest.Batch(1, 1, testDim)
		calls := []expert.Call{{Expert: testIDs[0], Rows: []int32{0}}, {Expert: testIDs[2], Rows: []int32{0}}}
		for range 2 {
			sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		}
		log := n.took()
		slices.Sort(log)
		if !slices.Equal(log, want) {
			t.Errorf("asks %q, want %q", log, want)
		}
		time.Sleep(unknownExpertBackoff)
		r.Apply(t.Context(), in, calls)
		if log := n.took(); !slices.Contains(log, "near: 0 2") {
			t.Errorf("asks %q: the holding was never tried again", log)
		}
	})
}

// A directory full of impostors does not hold a call for ever.
func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		for i := range 300 {
			n.join(Peer(fmt.Sprint("impostor ", i)), time.Millisecond, hanging, testIDs[3])
		}
		r := newTestRouter(t, n)
		began := time.Now()
		got := r.Apply(t.Context(), experttest.Batch(1, 1, testDim), []expert.Call{{Expert: testIDs[3], Rows: []int32{0}}})
		wantMissing(t, got[0].Err)
		if asks := len(n.took()); asks != maxAttempts {
			t.Errorf("%d asks, want %d", asks, maxAttempts)
		}
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

package routing

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// lying changes the first value of each answer by a little: nothing that a
// look at the shape could find.
var lying = altering(func(b *expert.Batch) { b.Data[0] += 0.25 })

// recompute is a check that knows the truth.
func recompute(ctx context.Context, c Checked) error {
	honest := reference()
	if c.Sum != nil {
		want, err := honest.Sum(ctx, c.In, c.Calls)
		if err == nil && !slices.Equal(want.Data, c.Sum.Data) {
			err = errors.New("the sum is wrong")
		}
		return err
	}
	for i, want := range honest.Apply(ctx, c.In, c.Calls) {
		if c.Results[i].Err == nil && !slices.Equal(want.Out.Data, c.Results[i].Out.Data) {
			return errors.New("a result is wrong")
		}
	}
	return nil
}

// An answer found wrong is repaired before the layer returns, and its peer is
// left alone.
func TestCheckRepairs(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		n.join("liar", ms, lying, testIDs[:3]...)
		n.join("honest", 20*ms, nil, testIDs[:3]...)
		r := newTestRouter(t, n, func(c *Config) { c.Check = waitFor(recompute) })
		measure(r, "liar", ms)
		measure(r, "honest", 20*ms)
		for range 3 {
			askLayer(t, r, sum, testIDs[:3]...)
		}
		liar := r.Peers()[1]
		if liar.Failures[BadResult] != 1 || liar.Breaker != Open || liar.Resting < time.Minute {
			t.Errorf("the liar: %+v", liar)
		}
		if log := n.took(); len(log) != 4 {
			t.Errorf("asks %q, want one at the liar", log)
		}
		if got := r.Totals(); got.Openings != 1 || got.Failovers != 1 {
			t.Errorf("%d openings, %d failovers", got.Openings, got.Failovers)
		}
		idle(t, r)
	})
}

// A slow check holds up the layer, and ends with it.
func TestCheckIsWaitedFor(t *testing.T) {
	both(t, func(t *testing.T, sum bool) {
		n := newFakeNet()
		n.join("a", 10*ms, nil, testIDs[:3]...)
		r := newTestRouter(t, n, func(c *Config) {
			c.Check = waitFor(func(ctx context.Context, _ Checked) error { return sleep(ctx, 30*ms) })
		})
		if took := askLayer(t, r, sum, testIDs[:3]...); took != 40*ms {
			t.Errorf("took %v, want 10 ms and the check's 30", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 25*ms)
		defer cancel()
		in, calls := experttest.Batch(1, 2, testDim), experttest.Calls(1, testIDs[:3], 2, 2)
		if sum {
			if _, err := r.Sum(ctx, in, calls); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("an ended context: %v", err)
			}
		} else if got := r.Apply(ctx, in, calls); !errors.Is(got[0].Err, context.DeadlineExceeded) {
			t.Errorf("an ended context: %v", got[0].Err)
		}
		if a := r.Peers()[0]; a.Suspect {
			t.Error("blamed for our giving up")
		}
		idle(t, r)
	})
}

// A condemned peer is asked nothing, nor probed, whatever happens; what it has
// under way is not accepted; the verdict outlives the table; it can be forgiven.
func TestCondemned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		bad := n.join("bad", 10*ms, nil, testIDs[:3]...)
		n.join("good", 30*ms, nil, testIDs[:3]...)
		r := newTestRouter(t, n)
		measure(r, "bad", 10*ms)
		measure(r, "good", 30*ms)
		time.AfterFunc(5*ms, func() { r.Condemn("bad", "told a lie") })
		if took := askLayer(t, r, false, testIDs[:3]...); took != 40*ms {
			t.Errorf("took %v: the answer under way should be done again", took)
		}
		runWith(t, r, func(context.Context) {
			time.Sleep(time.Hour)
			n.change(func() { bad.asked, bad.probed = 0, 0 })
			askLayer(t, r, false, testIDs[:3]...)
			time.Sleep(10 * time.Second)
		})
		if bad.asked+bad.probed > 0 {
			t.Errorf("asked %d times, probed %d times", bad.asked, bad.probed)
		}
		if p := r.Peers()[0]; p.Excluded != "told a lie" || p.Reputation.Score() != 0 {
			t.Errorf("%+v", p)
		}
		r.Forgive("bad")
		r.mu.Lock()
		e, _ := r.mu.table.find("bad")
		e.shunUntil, e.restUntil, e.failures = time.Time{}, time.Time{}, 0
		r.mu.Unlock()
		askLayer(t, r, false, testIDs[:3]...)
		if bad.asked != 1 {
			t.Errorf("asked %d times after it was forgiven, want once", bad.asked)
		}
	})
}

// A peer that is condemned before it is ever considered stays out.
func TestCondemnedStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		bad := n.join("bad", ms, nil, testIDs[0])
		n.join("good", 30*ms, nil, testIDs[0])
		r := newTestRouter(t, n)
		r.Condemn("bad", "")
		askLayer(t, r, false, testIDs[0])
		if bad.asked > 0 {
			t.Error("asked")
		}
	})
}

// A proven peer is preferred to an unproven one that is little faster; now and
// then the unproven gets its chance.
func TestTrustDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		fresh := n.join("new", 10*ms, nil, testIDs[0])
		proven := n.join("proven", 15*ms, nil, testIDs[0])
		r := newTestRouter(t, n)
		measure(r, "new", 10*ms)
		measure(r, "proven", 15*ms)
		for range 100 {
			r.Passed("proven")
		}
		for range 2 * exploring {
			askLayer(t, r, false, testIDs[0])
		}
		if fresh.asked != 2 || proven.asked != 2*exploring-2 {
			t.Errorf("the unproven was asked %d times, the proven %d", fresh.asked, proven.asked)
		}
	})
}

// Breakers: see Breaker.
func TestBreaker(t *testing.T) {
	p := testPolicy(t)
	e := NewEstimate("a", p)
	now := epoch
	state := func(want Breaker, askable bool) {
		t.Helper()
		if got := e.Breaker(now); got != want || e.askable(now) != askable {
			t.Errorf("breaker %v and askable %v, want %v and %v", got, e.askable(now), want, askable)
		}
	}
	state(Closed, true)
	e.Fail(now, now, p)
	state(Closed, true) // avoided only
	if e.avoidance(now) <= suspectPenalty.Seconds() {
		t.Error("not avoided")
	}
	now = now.Add(time.Minute)
	e.Fail(now, now, p)
	state(Open, false)
	now = now.Add(2*p.BackoffMin + 1)
	state(HalfOpen, true)
	e.flying = Size{Calls: 1}
	state(HalfOpen, false) // the trial is under way
	e.flying = Size{}
	e.Fail(now, now, p)
	state(Open, false)
	now = now.Add(time.Minute)
	e.Probed(64, ms, Load{}, now)
	state(Closed, true)
	e.Lie(now)
	e.Observe(Sample{Took: ms}, now)
	state(Open, false) // a lie is not made up for by what was under way
	e.Fail(now.Add(1), now.Add(1), p)
	state(Open, false)
	now = now.Add(badResultBackoff + time.Minute)
	state(Closed, true)
}

// Two replicas that both lose a call now and then do not lock each other out.
func TestRareFailuresCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", 10*ms, every(13, failing(expert.ErrUnreachable)), testIDs...)
		n.join("b", 10*ms, every(11, failing(expert.ErrUnreachable)), testIDs...)
		r := newTestRouter(t, n)
		runWith(t, r, func(context.Context) {
			began := time.Now()
			const rounds = 500
			for range rounds {
				askLayer(t, r, false, testIDs[:4]...)
			}
			if took := time.Since(began) / rounds; took > 13*ms {
				t.Errorf("a round takes %v with one call in twelve lost, want at most 13 ms", took)
			}
		})
	})
}

// The others are answered; an optional call that is late is given its p95 and
// no more, one that nobody holds nothing.
func TestOptionalCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", 10*ms, nil, testIDs[:2]...)
		n.join("slow", 12*ms, hanging, testIDs[2])
		r := newTestRouter(t, n)
		measure(r, "a", 10*ms)
		measure(r, "slow", 12*ms)
		in := experttest.Batch(1, 1, testDim)
		calls := []expert.Call{
			{Expert: testIDs[0], Rows: []int32{0}, Weights: []float32{0.6}},
			{Expert: testIDs[1], Rows: []int32{0}, Weights: []float32{0.2}},
			{Expert: testIDs[2], Rows: []int32{0}, Weights: []float32{0.15}, Optional: true},
			{Expert: testIDs[3], Rows: []int32{0}, Weights: []float32{0.05}, Optional: true},
		}
		began := time.Now()
		got := r.Apply(t.Context(), in, calls)
		if took := time.Since(began); took < 12*ms || took > 14*ms {
			t.Errorf("took %v, want the p95 of the slow peer", took)
		}
		sameAsReference(t, in, calls[:2], got[:2])
		if !errors.Is(got[2].Err, expert.ErrStraggler) || !errors.Is(got[3].Err, expert.ErrNoHolder) {
			t.Errorf("errors %v and %v", got[2].Err, got[3].Err)
		}
		if tot := r.Totals(); tot.Dropped != 2 || tot.DroppedMass < 0.19 || tot.DroppedMass > 0.21 || tot.Missing != 0 {
			t.Errorf("dropped %d with mass %v, missing %d", tot.Dropped, tot.DroppedMass, tot.Missing)
		}
		idle(t, r)
	})
}

// While a call that is needed waits, optional ones may come in late for free.
func TestOptionalCallsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("a", 100*ms, nil, testIDs[0])
		late := n.join("b", 10*ms, nil, testIDs[1])
		r := newTestRouter(t, n)
		measure(r, "a", 100*ms)
		measure(r, "b", 10*ms)
		n.change(func() { late.rtt = 90 * ms })
		in := experttest.Batch(1, 1, testDim)
		calls := []expert.Call{{Expert: testIDs[0], Rows: []int32{0}}, {Expert: testIDs[1], Rows: []int32{0}, Optional: true}}
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
	})
}

// Everything at once, checked, with some calls optional: whatever is answered
// is right, and duplicates stay within their share.
func TestChaosWithChecks(t *testing.T) {
	hedges := 0
	defer func() {
		if hedges == 0 {
			t.Error("nothing was duplicated")
		}
	}()
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			n.join("steady", 80*ms, nil, testIDs...)
			for i, f := range []fault{lying, hanging, failing(expert.ErrUnreachable), nan, partly(expert.ErrUnreachable)} {
				n.join(Peer('a'+rune(i)), time.Duration(5+3*i)*ms, every(3+i+int(seed), f), testIDs[i%3:5+i%3]...)
			}
			r := newTestRouter(t, n, func(c *Config) { c.Check = waitFor(recompute); c.Policy.Seed = seed + 1 })
			var rounds sync.WaitGroup
			for g := range uint64(3) {
				rounds.Go(func() {
					for i := range uint64(60) {
						s := seed<<32 | g<<16 | i
						in, calls := experttest.Batch(s, 3, testDim), experttest.Calls(s, testIDs, 3, 3)
						if i%3 == 0 {
							if _, err := r.Sum(t.Context(), in, calls); err != nil {
								t.Error(err)
							}
							continue
						}
						calls[0].Optional = i%3 == 1
						got := r.Apply(t.Context(), in, calls)
						if calls[0].Optional && errors.Is(got[0].Err, expert.ErrStraggler) {
							got, calls = got[1:], calls[1:]
						}
						sameAsReference(t, in, calls, got)
					}
				})
			}
			rounds.Wait()
			idle(t, r)
			got := r.Totals()
			hedges += got.Hedges
			if float64(got.HedgedCalls) > 0.05*float64(got.RemoteCalls) {
				t.Errorf("seed %d: %d duplicates of %d calls", seed, got.HedgedCalls, got.RemoteCalls)
			}
		})
	}
}

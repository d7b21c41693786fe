package simswarm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/routing"
)

const testDim = 8

var testIDs = experttest.IDs(expert.ModelID{9}, 2, 4)

func fake() expert.Applier { return experttest.NewFake(7, testDim, testIDs...) }

// one is a swarm with one holder "h", 10 ms away, that takes 1 ms a call.
func one(faults ...Fault) (*Swarm, *Node) {
	s := New(Config{Seed: 1, Link: Link{RTT: 10 * ms}})
	s.Join(Holder{Name: "h", Held: testIDs, Apply: With(Modelled(fake(), Work{PerCall: ms}), faults...)})
	return s, s.From("me")
}

func ask(calls int) routing.Ask {
	a := routing.Ask{In: experttest.Batch(1, 1, testDim)}
	for _, id := range testIDs[:calls] {
		a.Calls = append(a.Calls, expert.Call{Expert: id, Rows: []int32{0}, Weights: []float32{1}})
	}
	return a
}

// timed calls in virtual time.
func timed(n *Node, ctx context.Context, a routing.Ask) (routing.Answer, time.Duration, error) {
	began := time.Now()
	answer, err := n.Call(ctx, "h", a)
	return answer, time.Since(began), err
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := one()
		defer s.Close()
		a := ask(3)
		got, took, err := timed(n, t.Context(), a)
		if err != nil || took != 13*ms || got.Compute != 3*ms || got.Queued != 0 {
			t.Errorf("took %v, %v of it compute, %v queued: %v", took, got.Compute, got.Queued, err)
		}
		for i, want := range fake().Apply(t.Context(), a.In, a.Calls) {
			if !slices.Equal(got.Results[i].Out.Data, want.Out.Data) {
				t.Errorf("call %d differs", i)
			}
		}
		a.Sum = true
		sum, _, err := timed(n, t.Context(), a)
		want, _ := experttest.NewFake(7, testDim, testIDs...).Sum(t.Context(), a.In, a.Calls)
		if err != nil || !slices.Equal(sum.Sum.Data, want.Data) {
			t.Errorf("sum differs: %v", err)
		}
		if _, err := n.Call(t.Context(), "stranger", a); !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("a stranger: %v", err)
		}
	})
}

// Frames queue in order, and a full queue refuses with a hint.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Link: Link{RTT: 10 * ms}})
		defer s.Close()
		s.Join(Holder{Name: "h", Held: testIDs, Apply: Modelled(fake(), Work{PerCall: ms}), Queue: 2})
		n := s.From("me")
		took := make([]time.Duration, 4)
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range took {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Microsecond)
				_, took[i], errs[i] = timed(n, t.Context(), ask(1))
			})
		}
		all.Wait()
		var refusal interface{ RetryAfter() time.Duration }
		if !errors.Is(errs[3], expert.ErrOverloaded) || !errors.As(errs[3], &refusal) {
			t.Errorf("the fourth: %v, want a refusal", errs[3])
		}
		for i, d := range took[:3] {
			if want := 10*ms + time.Duration(i+1)*ms; d > want || d < want-ms/10 || errs[i] != nil {
				t.Errorf("ask %d took %v, want %v (%v)", i, d, want, errs[i])
			}
		}
		if st := s.Stats("h"); st.Asks != 4 || st.Refused != 1 || st.Compute != 3*ms {
			t.Errorf("stats %+v", st)
		}
	})
}

// Cancelled work stops at the holder half a round trip later.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Link: Link{RTT: 10 * ms}})
		s.Join(Holder{Name: "h", Held: testIDs, Apply: Modelled(fake(), Work{PerCall: time.Minute})})
		n := s.From("me")
		ctx, cancel := context.WithTimeout(t.Context(), 20*ms)
		defer cancel()
		_, took, err := timed(n, ctx, ask(1))
		if took != 20*ms || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("took %v: %v", took, err)
		}
		began := time.Now()
		s.Close()
		if d := time.Since(began); d != 5*ms {
			t.Errorf("the holder worked on for %v, want 5ms", d)
		}
		if st := s.Stats("h"); st.Cancelled != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestKillAndRevive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := one()
		defer s.Close()
		go s.Play(t.Context(), []Event{{6 * ms, "h", false}, {100 * ms, "h", true}})
		_, took, err := timed(n, t.Context(), ask(3)) // being worked on when it dies
		if !errors.Is(err, expert.ErrUnreachable) || took != 11*ms {
			t.Errorf("killed: %v after %v", err, took)
		}
		if _, took, err = timed(n, t.Context(), ask(1)); !errors.Is(err, expert.ErrUnreachable) || took != 10*ms {
			t.Errorf("dead: %v after %v", err, took)
		}
		if _, err := n.Probe(t.Context(), "h", 100); !errors.Is(err, expert.ErrUnreachable) {
			t.Errorf("probe of the dead: %v", err)
		}
		time.Sleep(100 * ms)
		if _, _, err = timed(n, t.Context(), ask(1)); err != nil {
			t.Errorf("revived: %v", err)
		}
	})
}

func TestKills(t *testing.T) {
	peers := []routing.Peer{"a", "b", "c"}
	events := Kills(1, peers, 5*time.Second, 2*time.Second, 60*time.Second)
	if len(events) != 22 || !slices.Equal(events, Kills(1, peers, 5*time.Second, 2*time.Second, 60*time.Second)) {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events {
		if want := 5*time.Duration(i/2+1)*time.Second + 2*time.Second*time.Duration(i%2); e.At != want || e.Alive != (i%2 == 1) {
			t.Errorf("event %d: %+v, want at %v", i, e, want)
		}
	}
}

// Relink changes the way while the swarm runs.
func TestRelink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := one()
		defer s.Close()
		n.Call(t.Context(), "h", ask(1))
		s.Relink("h", Link{RTT: 50 * ms})
		if _, took, _ := timed(n, t.Context(), ask(1)); took != 51*ms {
			t.Errorf("took %v, want 51ms", took)
		}
	})
}

func TestFaults(t *testing.T) {
	var told atomic.Int64
	honest := fake().Apply(context.Background(), ask(2).In, ask(2).Calls)
	for _, tt := range []struct {
		name    string
		fault   Fault
		asks    int
		took    time.Duration // of the last of them
		failed  error         // of the last
		correct bool
	}{
		{"absent", Absent(), 1, 10 * ms, expert.ErrUnreachable, false},
		{"slow", Slow(10), 1, 30 * ms, nil, true},
		{"slow after two, before", SlowAfter(2, 10), 2, 12 * ms, nil, true},
		{"slow after two, then", SlowAfter(2, 10), 3, 30 * ms, nil, true},
		{"slow seldom", SlowSeldom(10, 1, 1), 1, 30 * ms, nil, true},
		{"lying", Lying(), 1, 12 * ms, nil, false},
		{"lying seldom", LyingSeldom(0, 1, &told), 1, 12 * ms, nil, true},
		{"replaying the first", Replaying(), 1, 12 * ms, nil, true},
		{"replaying", Replaying(), 2, 10 * ms, nil, true}, // of the same ask
		{"withholding", Withholding(), 1, time.Second, context.DeadlineExceeded, false},
		{"failing", Failing(1, 1), 1, 10 * ms, expert.ErrUnreachable, false},
		{"failing never", Failing(0, 1), 1, 12 * ms, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, n := one(tt.fault)
				defer s.Close()
				var got routing.Answer
				var took time.Duration
				var err error
				for range tt.asks {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					got, took, err = timed(n, ctx, ask(2))
					cancel()
				}
				if took != tt.took || !errors.Is(err, tt.failed) {
					t.Errorf("took %v: %v; want %v: %v", took, err, tt.took, tt.failed)
				}
				if err != nil {
					return
				}
				same := slices.Equal(got.Results[1].Out.Data, honest[1].Out.Data)
				if same != tt.correct {
					t.Errorf("correct: %v, want %v", same, tt.correct)
				}
			})
		})
	}
}

// A replayed answer is wrong for another input.
func TestReplayingIsWrong(t *testing.T) {
	a := With(fake(), Replaying())
	first, second := ask(1), ask(1)
	second.In = experttest.Batch(2, 1, testDim)
	a.Apply(t.Context(), first.In, first.Calls)
	got := a.Apply(t.Context(), second.In, second.Calls)
	if want := fake().Apply(t.Context(), second.In, second.Calls); slices.Equal(got[0].Out.Data, want[0].Out.Data) {
		t.Error("computed, not replayed")
	}
}

// Rates of seldom faults, and that a seed fixes them.
func TestSeldom(t *testing.T) {
	var told atomic.Int64
	a := With(fake(), LyingSeldom(0.1, 5, &told))
	for range 500 {
		r := ask(4)
		a.Apply(t.Context(), r.In, r.Calls)
	}
	if n := told.Load(); n < 150 || n > 250 {
		t.Errorf("%d lies in 2000 calls at 10 %%", n)
	}
}

// Slow spells take their share of the time.
func TestSpells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := one(Spells(10, 300*ms, 100*ms, 3))
		defer s.Close()
		slow, began := 0, time.Now()
		for time.Since(began) < time.Minute {
			_, took, _ := timed(n, t.Context(), ask(1))
			if took == 20*ms {
				slow++
				continue
			}
			if took != 11*ms {
				t.Fatalf("took %v", took)
			}
		}
		share := float64(slow) * 0.020 / 60
		if share < 0.15 || share > 0.4 {
			t.Errorf("slow for %.0f %% of the time, want about 25", 100*share)
		}
	})
}

// One flooder fills the queue; an honest asker is refused, not hung.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Link: Link{RTT: ms}})
		s.Join(Holder{Name: "h", Held: testIDs, Apply: Modelled(fake(), Work{PerCall: ms}), Queue: 4})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if answered, refused := Flood(ctx, s.From("flooder"), "h", ask(1), 20); answered < 900 || refused == 0 {
				t.Errorf("%d answered, %d refused", answered, refused)
			}
		}()
		time.Sleep(500*ms + 100*time.Microsecond)
		_, took, err := timed(s.From("me"), ctx, ask(1))
		if took > 10*ms || err != nil && !errors.Is(err, expert.ErrOverloaded) {
			t.Errorf("an honest asker: %v after %v", err, took)
		}
		<-done
		s.Close()
	})
}

// The swarm is what a router wants: its results equal a local run's through
// every fault but lies.
func TestRouterOverFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Seed: 2, Link: Link{RTT: 20 * ms, Spread: 0.3, Jitter: 3 * ms, Tail: 0.02, TailTime: 30 * ms, Loss: 0.01}})
		for i, f := range []Fault{Absent(), Slow(10), SlowAfter(20, 5), Failing(0.05, 1), WithholdingSeldom(0.01, 1), Spells(10, time.Second, time.Second, 1)} {
			s.Join(Holder{Name: routing.Peer(rune('a' + i)), Held: testIDs, Apply: With(Modelled(fake(), Work{PerCall: ms}), f)})
		}
		n := s.From("me")
		r, err := routing.New(routing.Config{Directory: n, Caller: n, Prober: n, Missing: n.LookUp, Policy: routing.Policy{Seed: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		for i := range 200 {
			a := ask(4)
			a.In = experttest.Batch(uint64(i), 1, testDim)
			want := fake().Apply(t.Context(), a.In, a.Calls)
			for c, got := range r.Apply(t.Context(), a.In, a.Calls) {
				if got.Err != nil || !slices.Equal(got.Out.Data, want[c].Out.Data) {
					t.Fatalf("round %d call %d: %v", i, c, got.Err)
				}
			}
		}
		cancel()
		<-ended
		s.Close()
	})
}

// A cancelled ask never keeps a worker: not when its turn comes and its end
// come at the same time either, as they do here, where it ended before it came.
func TestCancelledAsksKeepNoWorker(t *testing.T) {
	h := newHolder(Holder{Name: "h", Workers: 1, Queue: 4, Apply: fake()})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 { // which of the two is seen is drawn each time
		if _, err := h.serve(ended, routing.Ask{In: experttest.Batch(1, 1, testDim)}); !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled ask: %v", err)
		}
		if len(h.slots) != 0 {
			t.Fatal("a cancelled ask keeps the holder's worker")
		}
	}
}

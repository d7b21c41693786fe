package experttest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Fixture describes an Applier to the suite.
type Fixture struct {
	Dim  int         // width of a row
	Held []expert.ID // experts of one layer that it can apply, at least three
	// Unheld is an expert of that layer which nobody can apply. An Applier
	// that waits for holders should be set to do so for some milliseconds.
	Unheld expert.ID
	// Reference applies Held in an obvious way.
	Reference expert.Applier
	// Tolerance is how far a value may be from the reference's, as a share of
	// the largest magnitude in its row. 0: equal to the last bit.
	Tolerance float64
}

// promptly bounds what must not take long, with room for a busy machine.
const promptly = 10 * time.Second

// Run runs the whole suite. make makes the Applier anew for each case.
func Run(t *testing.T, make func(t *testing.T) (expert.Applier, Fixture)) {
	cases := []struct {
		name string
		run  func(*testing.T, expert.Applier, Fixture)
	}{
		{"one row", oneRow},
		{"results in the order of the calls", order},
		{"rows as the call orders them", rowOrder},
		{"batches as a gate makes them", gateLike},
		{"a row does not depend on the others", independent},
		{"in the caller's memory", inRoom},
		{"no calls", noCalls},
		{"bad calls", badCalls},
		{"unknown expert", unknown},
		{"cancelled before", cancelledBefore},
		{"cancelled meanwhile", cancelledMeanwhile},
		{"input is left alone and not kept", inputNotKept},
		{"several at once", concurrent},
		{"sum", sum},
		{"sum with one call per row", sumExact},
		{"sum of bad calls", sumBad},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, f := make(t)
			if len(f.Held) < 3 || f.Dim <= 0 || f.Reference == nil {
				t.Fatalf("experttest: the fixture needs three experts, a width and a reference, got %d, %d, %v", len(f.Held), f.Dim, f.Reference)
			}
			c.run(t, a, f)
		})
	}
}

func oneRow(t *testing.T, a expert.Applier, f Fixture) {
	in := Batch(1, 1, f.Dim)
	for _, id := range f.Held {
		f.check(t, a, in, []expert.Call{{Expert: id, Rows: []int32{0}}})
	}
}

func order(t *testing.T, a expert.Applier, f Fixture) {
	in := Batch(2, 2, f.Dim)
	var calls []expert.Call
	for _, id := range slices.Backward(f.Held) {
		calls = append(calls, expert.Call{Expert: id, Rows: []int32{1}})
	}
	// The same expert may be called twice.
	calls = append(calls, expert.Call{Expert: f.Held[0], Rows: []int32{0}})
	f.check(t, a, in, calls)
}

func rowOrder(t *testing.T, a expert.Applier, f Fixture) {
	in := Batch(3, 9, f.Dim)
	f.check(t, a, in, []expert.Call{
		{Expert: f.Held[0], Rows: []int32{8, 0, 3, 7}},
		{Expert: f.Held[1], Rows: []int32{0, 8}},
		{Expert: f.Held[2], Rows: []int32{3}},
	})
}

func gateLike(t *testing.T, a expert.Applier, f Fixture) {
	for seed := range uint64(8) {
		rows := 1 + int(seed*seed) // 1 to 50
		in := Batch(seed, rows, f.Dim)
		f.check(t, a, in, Calls(seed, f.Held, rows, 2))
	}
}

// independent: each output row depends on its input row and its expert alone.
func independent(t *testing.T, a expert.Applier, f Fixture) {
	const rows = 40 // past the sizes at which kernels change their ways
	in := Batch(4, rows, f.Dim)
	all := make([]int32, rows)
	for r := range all {
		all[r] = int32(r)
	}
	together := mustApply(t, a, in, []expert.Call{{Expert: f.Held[0], Rows: all}, {Expert: f.Held[1], Rows: all}})
	for r := range all {
		alone := expert.Batch{Rows: 1, Dim: f.Dim, Data: in.Row(r)}
		other := mustApply(t, a, alone, []expert.Call{{Expert: f.Held[1], Rows: []int32{0}}})
		if !slices.Equal(together[1].Out.Row(r), other[0].Out.Row(0)) {
			t.Fatalf("row %d alone and among %d differ", r, rows)
		}
	}
	some := mustApply(t, a, in, []expert.Call{{Expert: f.Held[0], Rows: []int32{17, 39, 2}}})
	for i, r := range []int{17, 39, 2} {
		if !slices.Equal(together[0].Out.Row(r), some[0].Out.Row(i)) {
			t.Fatalf("row %d among 3 and among %d differ", r, rows)
		}
	}
}

// inRoom: answers in memory that is used again are those of Apply, whatever
// was there before.
func inRoom(t *testing.T, a expert.Applier, f Fixture) {
	var room expert.Room
	for seed := range uint64(6) {
		rows := 1 + int((seed*5)%9)
		in, calls := Batch(seed, rows, f.Dim), Calls(seed, f.Held, rows, 2)
		want := mustApply(t, a, in, calls)
		for range 2 {
			got := expert.ApplyIn(context.Background(), a, in, calls, &room)
			if len(got) != len(want) {
				t.Fatalf("%d results for %d calls", len(got), len(want))
			}
			for i := range got {
				if got[i].Err != nil || got[i].Out.Rows != want[i].Out.Rows || !slices.Equal(got[i].Out.Data, want[i].Out.Data) {
					t.Fatalf("seed %d: call %d differs from Apply's, error %v", seed, i, got[i].Err)
				}
			}
		}
	}
	in, calls := Batch(1, 2, f.Dim), Calls(1, f.Held, 2, 2)
	calls = append(calls, expert.Call{Expert: f.Unheld, Rows: []int32{0}})
	if got := expert.ApplyIn(context.Background(), a, in, calls, &room); got[len(calls)-1].Err == nil {
		t.Error("an expert that nobody holds was answered with what was there before")
	}
}

func noCalls(t *testing.T, a expert.Applier, f Fixture) {
	if got := a.Apply(t.Context(), Batch(5, 2, f.Dim), nil); len(got) != 0 {
		t.Fatalf("%d results for no calls", len(got))
	}
}

// inputNotKept: whoever applies keeps no reference to the batch or the calls.
// Under the race detector the scribbling also finds who reads them late.
func inputNotKept(t *testing.T, a expert.Applier, f Fixture) {
	for seed := range uint64(20) {
		in := Batch(seed, 5, f.Dim)
		calls := Calls(seed, f.Held, 5, 2)
		want := mustApply(t, f.Reference, in, calls)
		before := slices.Clone(in.Data)
		got := a.Apply(t.Context(), in, calls)
		if !slices.Equal(in.Data, before) {
			t.Fatal("the batch was written to")
		}
		for i := range in.Data {
			in.Data[i] = float32(math.NaN())
		}
		for i := range calls {
			for j := range calls[i].Rows {
				calls[i].Rows[j] = -1
			}
		}
		f.compare(t, calls, got, want)
	}
}

func concurrent(t *testing.T, a expert.Applier, f Fixture) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for g := range uint64(8) {
		in := Batch(100+g, 6, f.Dim)
		calls := Calls(100+g, f.Held, 6, 2)
		want := mustApply(t, f.Reference, in, calls)
		wg.Go(func() {
			for range 10 {
				f.compare(t, calls, a.Apply(t.Context(), in, calls), want)
			}
		})
	}
}

// check applies the calls and compares with the reference.
func (f *Fixture) check(t *testing.T, a expert.Applier, in expert.Batch, calls []expert.Call) {
	t.Helper()
	f.compare(t, calls, a.Apply(t.Context(), in, calls), mustApply(t, f.Reference, in, calls))
}

func (f *Fixture) compare(t *testing.T, calls []expert.Call, got, want []expert.Result) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d results for %d calls", len(got), len(want))
		return
	}
	for i := range want {
		g, w := got[i].Out, want[i].Out
		switch {
		case got[i].Err != nil:
			t.Errorf("call %d (%v): %v", i, calls[i].Expert, got[i].Err)
		case g.Rows != w.Rows || g.Dim != w.Dim || len(g.Data) != len(w.Data):
			t.Errorf("call %d (%v): (%d, %d) with %d values, want (%d, %d)", i, calls[i].Expert, g.Rows, g.Dim, len(g.Data), w.Rows, w.Dim)
		default:
			for r := range w.Rows {
				if d := distance(g.Row(r), w.Row(r)); !(d <= f.Tolerance) {
					t.Errorf("call %d (%v), output row %d: off by %g of the row's largest value, allowed %g", i, calls[i].Expert, r, d, f.Tolerance)
				}
			}
		}
	}
}

// distance is the largest difference, as a share of want's largest magnitude.
func distance(got, want []float32) float64 {
	var most, off float64
	for i := range want {
		most = max(most, math.Abs(float64(want[i])))
		off = max(off, math.Abs(float64(got[i])-float64(want[i])))
	}
	if off == 0 {
		return 0
	}
	return off / most
}

func mustApply(t *testing.T, a expert.Applier, in expert.Batch, calls []expert.Call) []expert.Result {
	t.Helper()
	results := a.Apply(t.Context(), in, calls)
	if len(results) != len(calls) {
		t.Fatalf("%d results for %d calls", len(results), len(calls))
	}
	for i := range results {
		if results[i].Err != nil {
			t.Fatalf("call %d (%v): %v", i, calls[i].Expert, results[i].Err)
		}
	}
	return results
}

// within fails the test when f does not return promptly.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(promptly):
		t.Fatalf("not back after %v", promptly)
	}
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

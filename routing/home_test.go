package routing

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// homely answers in memory of its own, and at times wrongly.
type homely struct {
	fake    *experttest.Fake
	results []expert.Result
}

func (h *homely) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	return h.fake.Apply(ctx, in, calls)
}

func (h *homely) ApplyIn(context.Context, expert.Batch, []expert.Call, *expert.Room) []expert.Result {
	return h.results
}

// TestAtHome: a layer whose experts are all here costs no round and no
// allocation; what goes wrong goes the way of Apply.
func TestAtHome(t *testing.T) {
	ids := experttest.IDs(expert.ModelID{1}, 2, 8)
	fake := experttest.NewFake(1, 16, ids...)
	in, calls := experttest.Batch(1, 3, 16), experttest.Calls(2, ids, 3, 2)
	want := fake.Apply(t.Context(), in, calls)
	home := &homely{fake: fake, results: want}
	r, err := New(Config{Local: home, LocalHolds: func(id expert.ID) bool { return slices.Contains(ids, id) }})
	if err != nil {
		t.Fatal(err)
	}
	var room expert.Room
	same := func(name string) {
		t.Helper()
		for i, got := range r.ApplyIn(t.Context(), in, calls, &room) {
			if got.Err != nil || !slices.Equal(got.Out.Data, want[i].Out.Data) {
				t.Errorf("%s: call %d: %v", name, i, got.Err)
			}
		}
	}
	same("good")
	if s := r.Totals(); s.LocalRounds != 1 || s.LocalCalls != len(calls) || s.Rounds != 0 {
		t.Errorf("%d rounds here with %d calls, %d elsewhere", s.LocalRounds, s.LocalCalls, s.Rounds)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { r.ApplyIn(ctx, in, calls, &room) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	bad := slices.Clone(want)
	bad[1].Out = expert.NewBatch(bad[1].Out.Rows, 16)
	bad[1].Out.Data[3] = float32(math.NaN())
	home.results = bad
	same("not a number")
	home.results = want[:1]
	same("too few")
	failed := slices.Clone(want)
	failed[0].Err = errors.New("broken")
	home.results = failed
	same("failed")
}

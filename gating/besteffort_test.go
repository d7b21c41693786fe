package gating

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

const effortDim = 8

// shaky fails the calls it is told to when they are optional.
type shaky struct {
	expert.Applier
	fail func(expert.Call) error
}

func (s shaky) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	out := s.Applier.Apply(ctx, in, calls)
	for i, c := range calls {
		if err := s.fail(c); err != nil {
			out[i] = expert.Result{Err: err}
		}
	}
	return out
}

func effortLayer(t *testing.T, fail func(expert.Call) error) *Layer {
	ids := experttest.IDs(expert.ModelID{1}, 0, 16)
	l, err := NewLayer(Config{Model: expert.ModelID{1}, Rule: Rule{TopK: 4, Gate: usual}, Applier: shaky{experttest.NewFake(3, effortDim, ids...), fail}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func drawStep(seed uint64, rows int) (h, scores expert.Batch) {
	source := rand.New(rand.NewPCG(seed, 1))
	h, scores = expert.NewBatch(rows, effortDim), expert.NewBatch(rows, 16)
	for _, b := range []expert.Batch{h, scores} {
		for i := range b.Data {
			b.Data[i] = float32(source.NormFloat64())
		}
	}
	return h, scores
}

func optionalLate(c expert.Call) error {
	if c.Optional {
		return fmt.Errorf("late: %w", expert.ErrStraggler)
	}
	return nil
}

// Rows that allow nothing are bit for bit what they are alone, whatever the
// others of the step lose, and the others lose less than their share.
func TestExactRowsAreUntouched(t *testing.T) {
	exact, effort := effortLayer(t, func(expert.Call) error { return nil }), effortLayer(t, optionalLate)
	lost := 0
	for seed := range uint64(300) {
		rows := 1 + int(seed%6)
		h, scores := drawStep(seed, rows)
		want, err := mix(t.Context(), exact, 0, h, scores)
		if err != nil {
			t.Fatal(err)
		}
		b := &BestEffort{Share: make([]float32, rows)}
		for r := range b.Share {
			b.Share[r] = []float32{0, 0.1, 0.3, 1, 5}[(int(seed)+r)%5]
		}
		got, err := mix(WithBestEffort(t.Context(), b), effort, 0, h, scores)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for r := range rows {
			var d Dropped
			if r < len(b.Dropped) {
				d = b.Dropped[r]
			}
			lost += d.Calls
			if (d.Calls > 0) != (d.Mass > 0) || d.Mass >= math.Min(float64(b.Share[r]), 1) && d.Calls > 0 {
				t.Errorf("seed %d row %d: dropped %+v with a share of %v", seed, r, d, b.Share[r])
			}
			if d.Calls == 0 && !slices.Equal(got.Row(r), want.Row(r)) {
				t.Errorf("seed %d row %d lost nothing and differs", seed, r)
			}
		}
	}
	if lost == 0 {
		t.Error("nothing was ever dropped: the test is vacuous")
	}
}

// What is left is the weighted mean over what answered.
func TestRenormalised(t *testing.T) {
	h, scores := drawStep(4, 1)
	calls := Calls(expert.ModelID{1}, 0, TopK(scores, 4))
	results := experttest.NewFake(3, effortDim, experttest.IDs(expert.ModelID{1}, 0, 16)...).Apply(t.Context(), h, calls)
	calls[1].Optional = true
	results[1] = expert.Result{Err: expert.ErrNoHolder}
	got := experttest.Batch(9, h.Rows, h.Dim)
	dropped, err := CombineLeaving(got, calls, results)
	if err != nil || len(dropped) != 1 || dropped[0].Calls != 1 || math.Abs(dropped[0].Mass-float64(calls[1].Weights[0])) > 1e-6 {
		t.Fatalf("dropped %+v, %v", dropped, err)
	}
	for d := range effortDim {
		var sum, mass float64
		for c := range calls {
			if c != 1 {
				sum += float64(calls[c].Weights[0]) * float64(results[c].Out.Data[d])
				mass += float64(calls[c].Weights[0])
			}
		}
		if want := sum / mass; math.Abs(want-float64(got.Data[d])) > 1e-5*(1+math.Abs(want)) {
			t.Errorf("value %d is %v, want %v", d, got.Data[d], want)
		}
	}
}

// Failures that are no lateness, and those of calls that are needed, fail the
// whole as ever.
func TestOnlyLatenessIsForgiven(t *testing.T) {
	h, scores := drawStep(5, 3)
	for name, fail := range map[string]func(expert.Call) error{
		"bad result of an optional call": func(c expert.Call) error {
			if c.Optional {
				return expert.ErrBadResult
			}
			return nil
		},
		"straggler that is needed": func(c expert.Call) error {
			if !c.Optional {
				return expert.ErrStraggler
			}
			return nil
		},
	} {
		b := &BestEffort{Share: []float32{0.9, 0.9, 0.9}}
		if _, err := mix(WithBestEffort(t.Context(), b), effortLayer(t, fail), 0, h, scores); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := mix(t.Context(), effortLayer(t, func(expert.Call) error { return expert.ErrStraggler }), 0, h, scores); !errors.Is(err, expert.ErrStraggler) {
		t.Errorf("without best effort: %v", err)
	}
}

package experttest

import (
	"context"
	"math"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// sumRounding is how far a sum may be from another order of the same
// additions, as a share of the magnitudes added: the width of a float32 (2^-23)
// for each of some ten additions.
const sumRounding = 1e-6

// summer gives the Applier's second power; the case ends if it has none.
func summer(t *testing.T, a expert.Applier) expert.Summer {
	s, ok := a.(expert.Summer)
	if !ok {
		t.Skip("no Summer")
	}
	return s
}

// sum: the weighted sum of what Apply gives, up to rounding; rows that no
// call names are zero.
func sum(t *testing.T, a expert.Applier, f Fixture) {
	s := summer(t, a)
	for seed := range uint64(6) {
		rows := 1 + int(seed*seed)
		in := Batch(seed, rows+2, f.Dim) // the last two rows stay unnamed
		calls := Calls(seed, f.Held, rows, 3)
		got, err := s.Sum(t.Context(), in, calls)
		if err != nil {
			t.Fatal(err)
		}
		want, mass := addUp(in, calls, mustApply(t, a, in, calls))
		if got.Rows != in.Rows || got.Dim != in.Dim || len(got.Data) != len(in.Data) {
			t.Fatalf("(%d, %d) with %d values, want the shape of the batch, (%d, %d)", got.Rows, got.Dim, len(got.Data), in.Rows, in.Dim)
		}
		for i, v := range got.Data {
			if !(math.Abs(float64(v)-want[i]) <= sumRounding*mass[i]) {
				t.Fatalf("seed %d, row %d: %v, want %v ± %g", seed, i/f.Dim, v, want[i], sumRounding*mass[i])
			}
		}
	}
}

// addUp adds in float64, and adds the magnitudes too.
func addUp(in expert.Batch, calls []expert.Call, results []expert.Result) (total, mass []float64) {
	total, mass = make([]float64, len(in.Data)), make([]float64, len(in.Data))
	for i, c := range calls {
		for j, r := range c.Rows {
			for k, v := range results[i].Out.Row(j) {
				x := float64(c.Weights[j]) * float64(v)
				total[int(r)*in.Dim+k] += x
				mass[int(r)*in.Dim+k] += math.Abs(x)
			}
		}
	}
	return total, mass
}

// sumExact: with one call per row there is one rounding, so nothing to differ.
func sumExact(t *testing.T, a expert.Applier, f Fixture) {
	s := summer(t, a)
	in := Batch(11, 12, f.Dim)
	calls := Calls(11, f.Held, 12, 1)
	for i := range calls { // the weights would all be 1
		for j := range calls[i].Weights {
			calls[i].Weights[j] = 1 / float32(3+i+j)
		}
	}
	got, err := s.Sum(t.Context(), in, calls)
	if err != nil {
		t.Fatal(err)
	}
	results := mustApply(t, a, in, calls)
	for i, c := range calls {
		for j, r := range c.Rows {
			for k, v := range results[i].Out.Row(j) {
				if want := c.Weights[j] * v; got.Row(int(r))[k] != want {
					t.Fatalf("call %d, row %d: %v, want %v", i, r, got.Row(int(r))[k], want)
				}
			}
		}
	}
}

func sumBad(t *testing.T, a expert.Applier, f Fixture) {
	s := summer(t, a)
	for _, b := range append(f.bad(), bad{"no weights", Batch(6, 1, f.Dim), []expert.Call{{Expert: f.Held[0], Rows: []int32{0}}}, 0}) {
		t.Run(b.name, func(t *testing.T) {
			calls := append([]expert.Call(nil), b.calls...)
			for i := range calls {
				if calls[i].Weights == nil && b.name != "no weights" {
					calls[i].Weights = make([]float32, len(calls[i].Rows))
				}
			}
			within(t, func() {
				if _, err := s.Sum(t.Context(), b.in, calls); !isAny(err, expert.ErrBadCall) {
					t.Errorf("got %v, want an error that wraps %v", err, expert.ErrBadCall)
				}
			})
		})
	}
	in := Batch(12, 1, f.Dim)
	calls := []expert.Call{{Expert: f.Unheld, Rows: []int32{0}, Weights: []float32{1}}}
	within(t, func() {
		if _, err := s.Sum(t.Context(), in, calls); !isAny(err, expert.ErrUnknownExpert, expert.ErrNoHolder) {
			t.Errorf("unknown expert: got %v, want an error that wraps %v or %v", err, expert.ErrUnknownExpert, expert.ErrNoHolder)
		}
	})
	calls = Calls(12, f.Held, 1, 3)
	within(t, func() {
		if _, err := s.Sum(ended(), in, calls); err != nil && !isAny(err, context.Canceled) {
			t.Errorf("cancelled: %v, want the error of the context", err)
		}
	})
}

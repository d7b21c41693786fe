package experttest

import (
	"context"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// bad is a batch and calls of which call `at` is wrong.
type bad struct {
	name  string
	in    expert.Batch
	calls []expert.Call
	at    int
}

func (f *Fixture) bad() []bad {
	in := Batch(6, 3, f.Dim)
	good := expert.Call{Expert: f.Held[0], Rows: []int32{0, 1}}
	otherLayer, otherModel := f.Held[1], f.Held[1]
	otherLayer.Layer++
	otherModel.Model[5]++
	one := func(c expert.Call) []expert.Call { return []expert.Call{good, c} }
	id := f.Held[1]
	return []bad{
		{"row past the end", in, one(expert.Call{Expert: id, Rows: []int32{0, 3}}), 1},
		{"negative row", in, one(expert.Call{Expert: id, Rows: []int32{-1}}), 1},
		{"row twice", in, one(expert.Call{Expert: id, Rows: []int32{2, 0, 2}}), 1},
		{"no rows", in, one(expert.Call{Expert: id}), 1},
		{"weights of another length", in, one(expert.Call{Expert: id, Rows: []int32{0, 1}, Weights: []float32{1}}), 1},
		{"another layer", in, one(expert.Call{Expert: otherLayer, Rows: []int32{0}}), 1},
		{"another model", in, one(expert.Call{Expert: otherModel, Rows: []int32{0}}), 1},
		{"data shorter than the shape", expert.Batch{Rows: 3, Dim: f.Dim, Data: in.Data[1:]}, one(good), 0},
		{"negative shape", expert.Batch{Rows: -1, Dim: -f.Dim, Data: in.Data[:f.Dim]}, one(good), 0},
		{"rows of no width", expert.Batch{Rows: 3}, one(good), 0},
		{"rows of another width", Batch(7, 3, f.Dim+1), one(good), 0},
	}
}

func badCalls(t *testing.T, a expert.Applier, f Fixture) {
	for _, b := range f.bad() {
		t.Run(b.name, func(t *testing.T) {
			within(t, func() {
				got := a.Apply(t.Context(), b.in, b.calls)
				if len(got) != len(b.calls) {
					t.Errorf("%d results for %d calls", len(got), len(b.calls))
				} else if !isAny(got[b.at].Err, expert.ErrBadCall) {
					t.Errorf("got %v, want an error that wraps %v", got[b.at].Err, expert.ErrBadCall)
				}
			})
		})
	}
	oneRow(t, a, f) // no harm done
}

// unknown: an expert that nobody has fails, and does no harm to the others.
func unknown(t *testing.T, a expert.Applier, f Fixture) {
	in := Batch(8, 2, f.Dim)
	calls := []expert.Call{
		{Expert: f.Held[2], Rows: []int32{1}},
		{Expert: f.Unheld, Rows: []int32{0, 1}},
		{Expert: f.Held[0], Rows: []int32{0}},
	}
	within(t, func() {
		got := a.Apply(t.Context(), in, calls)
		if len(got) != len(calls) {
			t.Errorf("%d results for %d calls", len(got), len(calls))
			return
		}
		if !isAny(got[1].Err, expert.ErrUnknownExpert, expert.ErrNoHolder) {
			t.Errorf("got %v, want an error that wraps %v or %v", got[1].Err, expert.ErrUnknownExpert, expert.ErrNoHolder)
		}
		for _, i := range []int{0, 2} {
			f.compare(t, calls[i:i+1], got[i:i+1], mustApply(t, f.Reference, in, calls[i:i+1]))
		}
	})
}

func cancelledBefore(t *testing.T, a expert.Applier, f Fixture) {
	in, calls := Batch(9, 4, f.Dim), Calls(9, f.Held, 4, 2)
	within(t, func() { f.cancelled(t, calls, a.Apply(ended(), in, calls), mustApply(t, f.Reference, in, calls)) })
	oneRow(t, a, f)
}

// cancelledMeanwhile: a call ends well or with the error of its context, and
// soon.
func cancelledMeanwhile(t *testing.T, a expert.Applier, f Fixture) {
	in, calls := Batch(10, 40, f.Dim), Calls(10, f.Held, 40, 2)
	want := mustApply(t, f.Reference, in, calls)
	for range 20 {
		within(t, func() {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			f.cancelled(t, calls, a.Apply(ctx, in, calls), want)
		})
	}
	oneRow(t, a, f)
}

func (f *Fixture) cancelled(t *testing.T, calls []expert.Call, got, want []expert.Result) {
	if len(got) != len(calls) {
		t.Errorf("%d results for %d calls", len(got), len(calls))
		return
	}
	for i := range got {
		switch err := got[i].Err; {
		case err == nil:
			f.compare(t, calls[i:i+1], got[i:i+1], want[i:i+1])
		case !isAny(err, context.Canceled):
			t.Errorf("call %d: %v, want the error of the context", i, err)
		}
	}
}

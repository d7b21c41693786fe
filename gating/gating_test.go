package gating

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// usual is the gate that [TopK] is.
var usual = expert.Gate{Normalise: true, Scale: 1}

// obvious is top-k by sorting: softmax over all scores, the k best kept,
// renormalised.
func obvious(scores []float32, k int) (chosen []int, weights map[int]float64) {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	var all, kept float64
	for _, s := range scores {
		all += math.Exp(float64(s))
	}
	for _, e := range order[:k] {
		kept += math.Exp(float64(scores[e])) / all
	}
	weights = map[int]float64{}
	for _, e := range order[:k] {
		weights[e] = math.Exp(float64(scores[e])) / all / kept
	}
	return order[:k], weights
}

func TestTopKAgainstSorting(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows, experts := 1+r.IntN(5), 1+r.IntN(20)
		k := 1 + r.IntN(experts)
		scores := expert.NewBatch(rows, experts)
		for i := range scores.Data {
			scores.Data[i] = float32(r.IntN(8)) - 4 // coarse, so that there are ties
		}
		picks := TopK(scores, k)
		if !slices.IsSortedFunc(picks, func(a, b Pick) int { return int(a.Expert) - int(b.Expert) }) {
			t.Fatalf("seed %d: picks are not in the order of their experts", seed)
		}
		got := make([]map[int]float64, rows)
		for i := range got {
			got[i] = map[int]float64{}
		}
		for _, p := range picks {
			if !slices.IsSorted(p.Rows) || len(p.Rows) != len(p.Weights) || len(p.Rows) == 0 {
				t.Fatalf("seed %d: pick %+v", seed, p)
			}
			for i, row := range p.Rows {
				got[row][int(p.Expert)] = float64(p.Weights[i])
			}
		}
		for row := range rows {
			chosen, weights := obvious(scores.Row(row), k)
			if len(got[row]) != k {
				t.Fatalf("seed %d row %d: %d experts, want %d", seed, row, len(got[row]), k)
			}
			for _, e := range chosen {
				if math.Abs(got[row][e]-weights[e]) > 1e-6 {
					t.Fatalf("seed %d row %d expert %d: weight %v, want %v", seed, row, e, got[row][e], weights[e])
				}
			}
		}
	}
}

// TestTopKOfBrokenScores: NaN never panics and a row still has k experts.
func TestTopKOfBrokenScores(t *testing.T) {
	nan := float32(math.NaN())
	scores := expert.Batch{Rows: 2, Dim: 3, Data: []float32{nan, 1, nan, nan, nan, nan}}
	n := 0
	for _, p := range TopK(scores, 2) {
		n += len(p.Rows)
	}
	if n != 4 {
		t.Errorf("%d choices, want 4", n)
	}
}

// mix is Mix into a batch of its own, full of what must not be seen.
func mix(ctx context.Context, l *Layer, layer int, h, scores expert.Batch) (expert.Batch, error) {
	out := experttest.Batch(99, h.Rows, h.Dim)
	err := l.Mix(ctx, layer, h, scores, out)
	return out, err
}

// TestMix: a layer over a fake equals the sum written out.
func TestMix(t *testing.T) {
	ids := experttest.IDs(expert.ModelID{1}, 3, 6)
	fake := experttest.NewFake(1, 8, ids...)
	h, scores := experttest.Batch(2, 4, 8), experttest.Batch(3, 4, 6)
	for _, partial := range []bool{false, true} {
		l, err := NewLayer(Config{Model: ids[0].Model, Rule: Rule{TopK: 2, Gate: usual}, Applier: fake, PartialSums: partial})
		if err != nil {
			t.Fatal(err)
		}
		out, err := mix(context.Background(), l, 3, h, scores)
		if err != nil {
			t.Fatal(err)
		}
		for row := range h.Rows {
			want := make([]float64, h.Dim)
			_, weights := obvious(scores.Row(row), 2)
			for e, w := range weights {
				r := fake.Apply(context.Background(), h, []expert.Call{{Expert: ids[e], Rows: []int32{int32(row)}}})
				for i, v := range r[0].Out.Data {
					want[i] += w * float64(v)
				}
			}
			for i := range want {
				if math.Abs(want[i]-float64(out.Row(row)[i])) > 1e-5 {
					t.Fatalf("partial %v row %d value %d: %v, want %v", partial, row, i, out.Row(row)[i], want[i])
				}
			}
		}
	}
}

// TestNothingIsDropped: one missing expert fails the layer, and so does a
// result of a wrong shape.
func TestNothingIsDropped(t *testing.T) {
	ids := experttest.IDs(expert.ModelID{1}, 0, 4)
	fake := experttest.NewFake(1, 8, ids[:3]...)
	l, err := NewLayer(Config{Model: ids[0].Model, Rule: Rule{TopK: 4, Gate: usual}, Applier: fake})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mix(context.Background(), l, 0, experttest.Batch(2, 2, 8), experttest.Batch(3, 2, 4)); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("a missing expert: %v", err)
	}
	h := experttest.Batch(2, 2, 8)
	calls := Calls(ids[0].Model, 0, TopK(experttest.Batch(3, 2, 4), 1))
	results := make([]expert.Result, len(calls))
	for i := range results {
		results[i].Out = expert.NewBatch(len(calls[i].Rows), 7)
	}
	for _, bad := range [][]expert.Result{results, results[:0]} {
		if err := Combine(h, calls, bad); !errors.Is(err, expert.ErrBadResult) {
			t.Errorf("%d results of another shape: %v", len(bad), err)
		}
	}
}

func TestNewLayerRefuses(t *testing.T) {
	only := applier{}
	for _, c := range []Config{{Rule: Rule{TopK: 1}}, {Applier: only}, {Applier: only, Rule: Rule{TopK: 1, Gate: usual}, PartialSums: true}} {
		if _, err := NewLayer(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// applier cannot sum.
type applier struct{}

func (applier) Apply(context.Context, expert.Batch, []expert.Call) []expert.Result { return nil }

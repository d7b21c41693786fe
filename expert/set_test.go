package expert_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// plain applies experts in floating point over dequantised weights, the
// obvious way. Only single-threaded use.
type plain struct{ m *expert.Model }

func (p plain) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	for i, c := range calls {
		w, err := p.m.Weights(c.Expert)
		if err != nil {
			results[i].Err = err
			continue
		}
		out := expert.NewBatch(len(c.Rows), in.Dim)
		for j, r := range c.Rows {
			x := in.Row(int(r))
			a, b := product(w.W1, x), product(w.W3, x)
			for k := range a {
				a[k] = a[k] / (1 + math.Exp(-a[k])) * b[k]
			}
			h := make([]float32, len(a))
			for k := range a {
				h[k] = float32(a[k])
			}
			for k, v := range product(w.W2, h) {
				out.Row(j)[k] = float32(v)
			}
		}
		results[i].Out = out
	}
	return results
}

func product(t expert.Tensor, x []float32) []float64 {
	m, err := ggml.NewMatrix(t.Type, t.Shape[0], t.Shape[1], t.Data)
	if err != nil {
		panic(err)
	}
	row, y := make([]float32, m.In), make([]float64, m.Out)
	for o := range y {
		m.Dequantize(o, row)
		for i := range row {
			y[o] += float64(row[i]) * float64(x[i])
		}
	}
	return y
}

// tiny writes and opens a small random model.
func tiny(t testing.TB, quant string) *expert.Model {
	t.Helper()
	cfg, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Quant = quant
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.WriteFile(context.Background(), path, cfg, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// The kernels quantise activations to 8 bits twice on the way; a few per cent
// of the largest value of a row is what that costs.
var setTolerance = map[string]float64{"F32": 1e-4, "Q8_0": 0.05, "Q4_K_M": 0.05}

func TestSetConforms(t *testing.T) {
	for quant, tolerance := range setTolerance {
		t.Run(quant, func(t *testing.T) {
			m := tiny(t, quant)
			ids := expert.IDsOf(m.ID(), []expert.Slot{{Layer: 1, Index: 0}, {Layer: 1, Index: 2}, {Layer: 1, Index: 3}, {Layer: 1, Index: 7}})
			experttest.Run(t, func(t *testing.T) (expert.Applier, experttest.Fixture) {
				s, err := expert.NewSet(m, ids, ggml.NewPool(2))
				if err != nil {
					t.Fatal(err)
				}
				return s, experttest.Fixture{
					Dim: m.Dim(), Held: ids, Unheld: expert.ID{Model: m.ID(), Layer: 1, Index: 5},
					Reference: plain{m}, Tolerance: tolerance,
				}
			})
		})
	}
}

func TestSetsHandOn(t *testing.T) {
	m := tiny(t, "Q8_0")
	ids := m.Manifest().IDs()
	set, err := expert.NewSet(m, ids[:3], ggml.NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	sets := expert.Sets{m.ID(): set}
	if !sets.Holds(ids[0]) || sets.Holds(ids[5]) || sets.Holds(expert.ID{Index: 0}) {
		t.Error("Holds is wrong")
	}
	in := experttest.Batch(1, 2, m.Dim())
	calls := []expert.Call{{Expert: ids[0], Rows: []int32{0, 1}}}
	want, got := set.Apply(context.Background(), in, calls), sets.Apply(context.Background(), in, calls)
	if got[0].Err != nil || want[0].Out.Row(1)[3] != got[0].Out.Row(1)[3] {
		t.Errorf("another answer: %v", got[0].Err)
	}
	calls[0].Expert.Model[0]++
	if r := sets.Apply(context.Background(), in, calls); r[0].Err == nil {
		t.Error("a model that is not there was applied")
	}
}

// TestRoomIsLent: results are where their caller wants them, as long as they fit.
func TestRoomIsLent(t *testing.T) {
	m := tiny(t, "Q8_0")
	set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(2))
	if err != nil {
		t.Fatal(err)
	}
	in := experttest.Batch(1, 3, m.Dim())
	calls := []expert.Call{{Expert: set.IDs()[0], Rows: []int32{0, 1, 2}}, {Expert: set.IDs()[3], Rows: []int32{1}}}
	want := set.Apply(t.Context(), in, calls)
	var room expert.Room
	for _, n := range []int{4 * m.Dim(), 4*m.Dim() - 1, 0} {
		memory := make([]float32, n)
		room.Lend(memory)
		got := set.ApplyIn(t.Context(), in, calls, &room)
		for i := range want {
			if !slices.Equal(got[i].Out.Data, want[i].Out.Data) {
				t.Errorf("%d values lent: another result", n)
			}
		}
		if fits := n == 4*m.Dim(); fits != (n > 0 && &got[0].Out.Data[0] == &memory[0]) || fits && &got[1].Out.Data[0] != &memory[3*m.Dim()] {
			t.Errorf("%d values lent: the results are elsewhere", n)
		}
	}
}

// TestGiveBack: half of the weights are given back, and the results are the
// same afterwards.
func TestGiveBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	shape, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if err := synth.WriteFile(t.Context(), path, shape, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Identify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	in := experttest.Batch(1, 3, m.Dim())
	calls := []expert.Call{{Expert: set.IDs()[0], Rows: []int32{0, 1, 2}}, {Expert: set.IDs()[3], Rows: []int32{1}}}
	before := set.Apply(t.Context(), in, calls)
	if n := set.GiveBack(0.5); n != 0 && (n < set.Bytes()/4 || n > set.Bytes()*3/4) {
		t.Errorf("%d of %d bytes given back", n, set.Bytes())
	}
	for i, r := range set.Apply(t.Context(), in, calls) {
		if !slices.Equal(r.Out.Data, before[i].Out.Data) {
			t.Errorf("call %d: other results after memory was given back", i)
		}
	}
}

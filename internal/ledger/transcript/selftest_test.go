package transcript

import (
	"context"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/jury"
)

// TestSelfTest: machines of other kinds pass the reference of one; other weights
// and experts that are left out do not.
func TestSelfTest(t *testing.T) {
	x := open(t, demo.Name, 2)
	q8 := open(t, "gopher-moe-15M-A6M-Q8_0.gguf", 1)
	of := func(m *expert.Model, a expert.Applier, threads int) Fingerprint {
		f, err := SelfTest(t.Context(), Config{Model: m, Applier: a, Pool: ggml.NewPool(threads)})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	reference := of(x.m, x.set, 2)
	other := of(q8.m, q8.set, 1) // another model has another prompt, too
	for _, c := range []struct {
		name string
		same bool
		f    Fingerprint
	}{
		{"the same", true, reference},
		{"one thread", true, of(x.m, x.set, 1)},
		{"activations in floats", true, of(x.m, &floats{t, x.m, map[expert.ID]jury.Network{}}, 2)},
		{"without a layer's experts", false, of(x.m, without{x.set, uint16(x.m.Shape().SparseLayers[1])}, 2)},
		{"another model", false, other},
		{"nothing", false, nil},
	} {
		if got := ledger.SameMarks(reference, c.f); got != c.same {
			t.Errorf("%s: passes %v", c.name, got)
		}
		same, off := 0, 0
		for _, r := range reference {
			for _, m := range c.f {
				if m.Index == r.Index && m.Bits>>7 == r.Bits>>7 {
					same++
					off += max(int(m.Bits&127)-int(r.Bits&127), int(r.Bits&127)-int(m.Bits&127))
				}
			}
		}
		t.Logf("%-28s %d of %d exponents, mantissas %.2f apart", c.name, same, len(reference), float64(off)/float64(max(same, 1)))
	}
	if ledger.SameMarks(nil, reference) {
		t.Error("no reference is met")
	}
}

// without leaves the experts of a layer out.
type without struct {
	expert.Applier
	layer uint16
}

func (w without) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := w.Applier.Apply(ctx, in, calls)
	for i, c := range calls {
		if c.Expert.Layer == w.layer {
			results[i].Out = expert.NewBatch(len(c.Rows), in.Dim)
		}
	}
	return results
}

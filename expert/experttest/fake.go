package experttest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// Fake computes gated feed-forward experts with weights drawn from a seed.
// Fakes with the same seed and width agree to the last bit, whatever they
// hold. It is safe for concurrent use.
type Fake struct {
	dim  int
	ffns map[expert.ID]ffn
}

// ffn is one expert: W2 · (silu(W1·x) ⊙ (W3·x)), all matrices (dim, dim).
type ffn struct{ w1, w2, w3 []float32 }

// NewFake holds the given experts for rows of width dim.
func NewFake(seed uint64, dim int, held ...expert.ID) *Fake {
	f := &Fake{dim: dim, ffns: make(map[expert.ID]ffn, len(held))}
	for _, id := range held {
		// The stream must depend on the whole name, not only the index.
		name := uint64(id.Layer)<<16 | uint64(id.Index)
		source := rand.New(rand.NewPCG(seed^name*0x9e3779b97f4a7c15, binary.LittleEndian.Uint64(id.Model[:])^name))
		f.ffns[id] = ffn{draw(source, dim), draw(source, dim), draw(source, dim)}
	}
	return f
}

// draw gives a matrix that neither blows rows up nor lets them die.
func draw(source *rand.Rand, dim int) []float32 {
	m := make([]float32, dim*dim)
	for i := range m {
		m[i] = float32((2*source.Float64() - 1) * math.Sqrt(3/float64(dim)))
	}
	return m
}

// Holds says whether the fake computes this expert.
func (f *Fake) Holds(id expert.ID) bool { _, ok := f.ffns[id]; return ok }

// Apply implements [expert.Applier].
func (f *Fake) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	err := expert.CheckCalls(in, calls)
	if err == nil && in.Dim != f.dim {
		err = fmt.Errorf("%w: rows of %d values for experts of %d", expert.ErrBadCall, in.Dim, f.dim)
	}
	for i, c := range calls {
		e, held := f.ffns[c.Expert]
		switch {
		case err != nil:
			results[i].Err = err
		case ctx.Err() != nil:
			results[i].Err = ctx.Err()
		case !held:
			results[i].Err = fmt.Errorf("%w: %v", expert.ErrUnknownExpert, c.Expert)
		default:
			out := expert.NewBatch(len(c.Rows), f.dim)
			for j, r := range c.Rows {
				e.apply(in.Row(int(r)), out.Row(j))
			}
			results[i].Out = out
		}
	}
	return results
}

// Sum implements [expert.Summer].
func (f *Fake) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	return expert.SumResults(in, calls, f.Apply(ctx, in, calls))
}

func (e ffn) apply(x, y []float32) {
	inner := make([]float32, len(x))
	for h := range inner {
		a, b := dot(e.w1, h, x), dot(e.w3, h, x)
		inner[h] = a / (1 + float32(math.Exp(-float64(a)))) * b
	}
	for i := range y {
		y[i] = dot(e.w2, i, inner)
	}
}

// dot is row i of a square matrix times x.
func dot(m []float32, i int, x []float32) (sum float32) {
	for j, w := range m[i*len(x):][:len(x)] {
		sum += w * x[j]
	}
	return sum
}

// IDs names the first n experts of a layer.
func IDs(model expert.ModelID, layer uint16, n int) []expert.ID {
	ids := make([]expert.ID, n)
	for i := range ids {
		ids[i] = expert.ID{Model: model, Layer: layer, Index: uint16(i)}
	}
	return ids
}

// Batch draws a token batch whose values have mean 0 and variance 1, as rows
// have after a norm.
func Batch(seed uint64, rows, dim int) expert.Batch {
	source := rand.New(rand.NewPCG(seed, 1))
	b := expert.NewBatch(rows, dim)
	for i := range b.Data {
		b.Data[i] = float32(source.NormFloat64())
	}
	return b
}

// Calls draws calls as a gate makes them: each row goes to k different
// experts, with weights that sum to 1. Calls come in the order of ids, and
// experts that no row chose have none.
func Calls(seed uint64, ids []expert.ID, rows, k int) []expert.Call {
	source := rand.New(rand.NewPCG(seed, 2))
	calls := make([]expert.Call, len(ids))
	for i, id := range ids {
		calls[i].Expert = id
	}
	for r := range rows {
		chosen := source.Perm(len(ids))[:min(k, len(ids))]
		var mass float32
		weights := make([]float32, len(chosen))
		for i := range weights {
			weights[i] = 0.1 + source.Float32()
			mass += weights[i]
		}
		for i, e := range chosen {
			calls[e].Rows = append(calls[e].Rows, int32(r))
			calls[e].Weights = append(calls[e].Weights, weights[i]/mass)
		}
	}
	return slices.DeleteFunc(calls, func(c expert.Call) bool { return len(c.Rows) == 0 })
}

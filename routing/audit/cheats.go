package audit

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/moeswarm/moeswarm/expert"
)

// Cheat is a way to answer calls with less work than they take, or to spoil
// them.
type Cheat struct {
	Name string
	// Must is set for cheats that have to be found. The others change results
	// by about as much as honest computers differ.
	Must  bool
	Apply func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result
}

// Cheats lists those that tolerances are measured with and tests are made of.
// They answer as a holder of the set would.
func Cheats(set *expert.Set, seed uint64) []Cheat {
	altered := func(f func(call expert.Call, out expert.Batch)) func(context.Context, expert.Batch, []expert.Call) []expert.Result {
		return func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			results := set.Apply(ctx, in, calls)
			for i := range results {
				if results[i].Err == nil {
					f(calls[i], results[i].Out)
				}
			}
			return results
		}
	}
	random := func(b expert.Batch) *rand.Rand { // the same for the same result: cheats are safe to share
		return rand.New(rand.NewPCG(seed, uint64(math.Float32bits(b.Data[0]))))
	}
	return []Cheat{
		{"zeros", true, altered(func(_ expert.Call, out expert.Batch) { clear(out.Data) })},
		{"random", true, altered(func(_ expert.Call, out expert.Batch) {
			r, size := random(out), rms(out.Data)
			for i := range out.Data {
				out.Data[i] = float32(r.NormFloat64() * size)
			}
		})},
		{"stale input", true, func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			old := expert.NewBatch(in.Rows, in.Dim)
			for r := range in.Rows { // what was asked before, of the same size
				from, to := in.Row(r), old.Row(r)
				for i := range from {
					to[i] = from[(i*7+13)%len(from)]
				}
			}
			return set.Apply(ctx, old, calls)
		}},
		{"other expert", true, func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
			wrong := make([]expert.Call, len(calls))
			for i, c := range calls {
				wrong[i] = c
				if wrong[i].Expert.Index ^= 1; !set.Holds(wrong[i].Expert) {
					wrong[i].Expert.Index = 0
				}
			}
			return set.Apply(ctx, in, wrong)
		}},
		{"scaled by 1.5", true, altered(func(_ expert.Call, out expert.Batch) {
			for i := range out.Data {
				out.Data[i] *= 1.5
			}
		})},
		{"a quarter of the hidden units left out", true, plain{set: set, skip: 25}.Apply},
		{"weights in 4 bits", true, plain{set: set, bits: 4}.Apply},
		{"weights in 3 bits", true, plain{set: set, bits: 3}.Apply},
		// To some rows those units hardly matter, and then it hardly is a lie.
		{"5 % of the hidden units left out", false, plain{set: set, skip: 5}.Apply},
		{"5 % of noise", true, altered(func(_ expert.Call, out expert.Batch) {
			r, size := random(out), 0.05*rms(out.Data)
			for i := range out.Data {
				out.Data[i] += float32(r.NormFloat64() * size)
			}
		})},
		// Weights of the K types have 4 to 6 bits to begin with.
		{"weights in 6 bits", coarsest(set) != expert.Blocks256, plain{set: set, bits: 6}.Apply},
	}
}

// coarsest is the coarsest class of a set's experts.
func coarsest(set *expert.Set) (c expert.Numeric) {
	for _, id := range set.IDs() {
		c = max(c, set.Numeric(id))
	}
	return c
}

func rms(v []float32) float64 { return math.Sqrt(square(v) / float64(max(len(v), 1))) }

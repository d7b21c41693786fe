package expert_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// TestCodedRowsGiveTheSameResults: an expert does the same with rows that
// travelled as codes as with the rows themselves, to the last bit.
func TestCodedRowsGiveTheSameResults(t *testing.T) {
	for quant, coded := range map[string]bool{"Q8_0": true, "Q4_K_M": true, "F16": false} {
		t.Run(quant, func(t *testing.T) {
			m := tiny(t, quant)
			set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(1))
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(31, 1))
			in := expert.NewBatch(5, m.Dim())
			for i := range in.Data {
				in.Data[i] = float32(r.NormFloat64())
			}
			calls := []expert.Call{{Expert: set.IDs()[0], Rows: []int32{0, 3}}, {Expert: set.IDs()[1], Rows: []int32{1, 2, 4}}}
			var codes expert.Codes
			if ok := expert.NewCoder(m).Encode(in, calls, &codes); ok != coded {
				t.Fatalf("coded: %v", ok)
			}
			if expert.NewCoder().Encode(in, calls, &codes) {
				t.Error("codes for a model that is not known")
			}
			if !coded {
				return
			}
			back := expert.NewBatch(in.Rows, in.Dim)
			codes.Floats(back.Data)
			want, got := set.Apply(context.Background(), in, calls), set.Apply(context.Background(), back, calls)
			for i := range calls {
				if got[i].Err != nil || !slices.Equal(got[i].Out.Data, want[i].Out.Data) {
					t.Errorf("call %d: other results, %v", i, got[i].Err)
				}
			}
		})
	}
}

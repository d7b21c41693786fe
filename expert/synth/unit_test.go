package synth

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// TestDeviations: in every type the values have mean 0 and the standard
// deviation asked for, as ggml reads them. MXFP4 knows powers of two only.
func TestDeviations(t *testing.T) {
	const n = 1 << 18
	for _, typ := range Types() {
		for _, sigma := range []float64{1, 0.02, 0.003} {
			b := make([]byte, typ.RowBytes(n))
			fill(b, typ, sigma, rand.NewPCG(5, 5))
			m, err := ggml.NewMatrix(typ, n, 1, b)
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, n)
			m.Dequantize(0, x)
			var sum, squares float64
			for _, v := range x {
				sum += float64(v)
				squares += float64(v) * float64(v)
			}
			mean, deviation := sum/n/sigma, math.Sqrt(squares/n)/sigma
			within := 0.03
			if typ == gguf.MXFP4 {
				within = 0.42
			}
			if math.Abs(mean) > 0.05 || math.Abs(deviation-1) > within {
				t.Errorf("%v, sigma %g: mean %.4f sigma, deviation %.5f sigma", typ, sigma, mean, deviation)
			}
		}
	}
}

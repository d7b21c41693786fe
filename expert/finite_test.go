package expert

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestFinite: one bad number is found wherever it stands, and no good one is
// taken for bad.
func TestFinite(t *testing.T) {
	good := []float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1}
	bad := []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0xff800001)}
	for n := range 40 {
		v := make([]float32, n)
		for i := range v {
			v[i] = good[(i+n)%len(good)]
		}
		if !Finite(v) {
			t.Fatalf("%v is taken for bad", v)
		}
		for i := range v {
			for _, x := range bad {
				was := v[i]
				v[i] = x
				if Finite(v) {
					t.Fatalf("%v at %d of %d passes", x, i, n)
				}
				v[i] = was
			}
		}
	}
}

func FuzzFinite(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x7f, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := make([]float32, len(b)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		want := !slices.ContainsFunc(v, func(x float32) bool { return x-x != 0 })
		if Finite(v) != want {
			t.Fatalf("%v: %v", v, !want)
		}
	})
}

func BenchmarkFinite(b *testing.B) {
	for _, n := range []int{2048, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := make([]float32, n)
			b.SetBytes(int64(4 * n))
			for b.Loop() {
				if !Finite(v) {
					b.Fatal("zeros are finite")
				}
			}
		})
	}
}

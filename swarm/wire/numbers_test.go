package wire

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuickNumbersEqualSlowOnes: the whole-array way and the one-by-one way
// give the same, at every alignment.
func TestQuickNumbersEqualSlowOnes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for n := range 70 {
		v := make([]int32, n)
		for i := range v {
			v[i] = int32(rnd.Uint32())
		}
		quick, slow := appendNumbers([]byte("x"), v), appendNumbersSlow([]byte("x"), v)
		if !bytes.Equal(quick, slow) {
			t.Fatalf("%d numbers: %x, want %x", n, quick, slow)
		}
		for offset := range 8 {
			at := append(make([]byte, offset, offset+len(quick)), quick[1:]...)[offset:]
			if got := numbers[int32](at); !slices.Equal(got, v) {
				t.Fatalf("%d numbers at offset %d: %v, want %v", n, offset, got, v)
			}
			if got := numbersSlow[int32](at); !slices.Equal(got, v) {
				t.Fatalf("%d numbers at offset %d, slowly: %v, want %v", n, offset, got, v)
			}
		}
	}
}

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
		v := numbersSlow[float32](b)
		want := !slices.ContainsFunc(v, func(x float32) bool { return x-x != 0 })
		if Finite(v) != want {
			t.Fatalf("%v: %v", v, !want)
		}
	})
}

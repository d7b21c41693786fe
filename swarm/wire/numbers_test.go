package wire

import (
	"bytes"
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

package ggml

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// quantized returns random weights in type t and the floats they stand for.
func quantized(t *testing.T, r *rand.Rand, kind gguf.Type, in, out int) (Matrix, []float32) {
	t.Helper()
	x := make([]float32, in*out)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	var rows Rows
	rows.Quantize(kind, x, out, in)
	m, err := NewMatrix(kind, in, out, rows.data)
	if err != nil {
		t.Fatal(err)
	}
	wide := make([]float32, in*out)
	for i := range out {
		m.Dequantize(i, wide[i*in:(i+1)*in])
	}
	return m, wide
}

func randomRows(r *rand.Rand, n, dim int) []float32 {
	x := make([]float32, n*dim)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

var testedTypes = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}

// TestMultiplyAgainstFloats compares the kernels with the plain sum over
// dequantised weights. The activations' own quantisation to 8 bits is the
// only difference, so the error is bounded by its step.
func TestMultiplyAgainstFloats(t *testing.T) {
	const in, out, n = 512, 48, 5
	for _, kind := range testedTypes {
		t.Run(kind.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(kind)))
			m, w := quantized(t, r, kind, in, out)
			x := randomRows(r, n, in)
			var rows Rows
			rows.Quantize(m.Activations(), x, n, in)
			y := make([]float32, n*out)
			m.Multiply(&rows, 0, out, y, out)
			for row := range n {
				for o := range out {
					var want, scale float64
					for i := range in {
						p := float64(w[o*in+i]) * float64(x[row*in+i])
						want += p
						scale += p * p
					}
					// 1/127 of the largest activation is the quantiser's step; errors add up like a random walk.
					if d := math.Abs(float64(y[row*out+o]) - want); d > 0.05*math.Sqrt(scale) {
						t.Fatalf("row %d output %d: %v, want %v", row, o, y[row*out+o], want)
					}
				}
			}
		})
	}
}

// TestRowsAreIndependent: an output is the same to the last bit whatever else
// is in the batch, and however the outputs are split.
func TestRowsAreIndependent(t *testing.T) {
	const in, ff, n = 256, 272, 9 // 272: not a multiple of any vector width times a row count
	for _, kind := range testedTypes {
		if ff%kind.BlockSize() != 0 {
			continue
		}
		t.Run(kind.String(), func(t *testing.T) { testIndependence(t, kind, in, ff, n) })
	}
	for _, kind := range testedTypes {
		t.Run(fmt.Sprint(kind, "/256"), func(t *testing.T) { testIndependence(t, kind, in, 256, n) })
	}
}

func testIndependence(t *testing.T, kind gguf.Type, in, ff, n int) {
	r := rand.New(rand.NewPCG(2, uint64(kind)))
	w1, _ := quantized(t, r, kind, in, ff)
	w3, _ := quantized(t, r, kind, in, ff)
	w2, _ := quantized(t, r, kind, ff, in)
	f := FFN{W1: w1, W2: w2, W3: w3, B1: randomRows(r, 1, ff), B2: randomRows(r, 1, in), B3: randomRows(r, 1, ff), Act: SwiGLUClamped}
	x := randomRows(r, n, in)
	act, same := f.Activations()
	if !same {
		t.Fatal("two formats for one type")
	}
	var s Scratch
	var all, one Rows
	all.Quantize(act, x, n, in)
	y := make([]float32, n*in)
	f.Apply(&s, &all, nil, y)
	for row := range n {
		one.Quantize(act, x[row*in:(row+1)*in], 1, in)
		alone := make([]float32, in)
		f.Apply(&s, &one, nil, alone)
		picked := make([]float32, in)
		f.Apply(&s, &all, []int32{int32(row)}, picked)
		for i := range alone {
			if alone[i] != y[row*in+i] || picked[i] != alone[i] {
				t.Fatalf("row %d value %d: in a batch %v, alone %v, picked %v", row, i, y[row*in+i], alone[i], picked[i])
			}
		}
	}
	whole, parts := make([]float32, n*ff), make([]float32, n*ff)
	w1.Multiply(&all, 0, ff, whole, ff)
	for i := range 3 {
		first, last := Parts(ff, 3, i, 16)
		w1.Multiply(&all, first, last, parts, ff)
	}
	for i := range whole {
		if whole[i] != parts[i] {
			t.Fatalf("value %d differs when the outputs are split", i)
		}
	}
}

// TestFFNAgainstFloats compares whole networks, with each activation, with and
// without biases, with the same in 64 bits. Scales are such that the clamps of
// SwiGLUClamped are met.
func TestFFNAgainstFloats(t *testing.T) {
	const in, ff, n = 64, 96, 3
	for _, act := range []Activation{SwiGLU, SwiGLUClamped} {
		for _, biased := range []bool{false, true} {
			r := rand.New(rand.NewPCG(6, uint64(act)))
			w1, v1 := quantized(t, r, gguf.F32, in, ff)
			w3, v3 := quantized(t, r, gguf.F32, in, ff)
			w2, v2 := quantized(t, r, gguf.F32, ff, in)
			f := FFN{W1: w1, W2: w2, W3: w3, Act: act}
			b1, b2, b3 := make([]float32, ff), make([]float32, in), make([]float32, ff)
			if biased {
				b1, b2, b3 = randomRows(r, 1, ff), randomRows(r, 1, in), randomRows(r, 1, ff)
				f.B1, f.B2, f.B3 = b1, b2, b3
			}
			x := randomRows(r, n, in)
			var rows Rows
			rows.Quantize(gguf.F32, x, n, in)
			y, halves := make([]float32, n*in), make([]float32, n*in)
			f.Apply(new(Scratch), &rows, nil, y)
			var s Split
			s.Begin(f, &rows, []int32{0, 1, 2}, halves)
			NewPool(2).Feed([]*Split{&s}, 2)
			product := func(w []float32, x []float64, o int) (sum float64) {
				for i := range x {
					sum += float64(w[o*len(x)+i]) * x[i]
				}
				return sum
			}
			for row := range n {
				xs, h := make([]float64, in), make([]float64, ff)
				for i := range xs {
					xs[i] = float64(x[row*in+i])
				}
				for i := range h {
					h[i] = act.At(product(v1, xs, i)+float64(b1[i]), product(v3, xs, i)+float64(b3[i]))
				}
				for o := range in {
					want, got := product(v2, h, o)+float64(b2[o]), float64(y[row*in+o])
					if math.Abs(got-want) > 1e-4*(1+math.Abs(want))*ff {
						t.Fatalf("activation %d, biases %v, row %d value %d: %v, want %v", act, biased, row, o, got, want)
					}
					if halves[row*in+o] != y[row*in+o] {
						t.Fatalf("activation %d, biases %v: value %d differs when the work is split", act, biased, o)
					}
				}
			}
		}
	}
}

func TestAttendAgainstPlain(t *testing.T) {
	const hd, n, stride = 64, 37, 128
	r := rand.New(rand.NewPCG(3, 3))
	q, k, v := randomRows(r, 1, hd), randomRows(r, n, stride), randomRows(r, n, stride)
	out := make([]float32, hd)
	var s Scratch
	Attend(&s, q, Stored{Keys: k, Values: v, KeyStride: stride, ValueStride: stride}, n, 0.125, float32(math.Inf(-1)), out)
	scores, sum := make([]float64, n), 0.0
	for i := range n {
		for j := range hd {
			scores[i] += float64(q[j]) * float64(k[i*stride+j])
		}
		scores[i] = math.Exp(scores[i] * 0.125)
		sum += scores[i]
	}
	for j := range hd {
		want := 0.0
		for i := range n {
			want += scores[i] / sum * float64(v[i*stride+j])
		}
		if math.Abs(want-float64(out[j])) > 1e-5 {
			t.Fatalf("value %d: %v, want %v", j, out[j], want)
		}
	}
}

func TestRMSNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, n := range []int{1, 7, 8, 64, 100} {
		x, w := randomRows(r, 1, n), randomRows(r, 1, n)
		y := make([]float32, n)
		RMSNorm(x, w, y, 1e-6)
		var sum float64
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		for i := range x {
			want := float64(x[i]) / math.Sqrt(sum/float64(n)+1e-6) * float64(w[i])
			if math.Abs(want-float64(y[i])) > 1e-5*math.Max(1, math.Abs(want)) {
				t.Fatalf("n %d value %d: %v, want %v", n, i, y[i], want)
			}
		}
	}
}

func TestNewMatrixRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		kind    gguf.Type
		in, out int
		bytes   int
	}{
		"short data":    {gguf.F32, 8, 2, 63},
		"broken blocks": {gguf.Q4_K, 200, 2, 1000},
		"no rows":       {gguf.F32, 8, 0, 0},
		"integers":      {gguf.I32, 8, 2, 64},
		"unknown type":  {gguf.Type(4096), 8, 2, 64},
	} {
		if _, err := NewMatrix(c.kind, c.in, c.out, make([]byte, c.bytes)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPoolDoesEverythingOnce(t *testing.T) {
	p := NewPool(3)
	for _, n := range []int{0, 1, 2, 3, 100} {
		done := make([]atomic.Int32, n)
		p.Do(n, func(_ *Scratch, i int) { done[i].Add(1) })
		for i := range done {
			if done[i].Load() != 1 {
				t.Fatalf("piece %d of %d ran %d times", i, n, done[i].Load())
			}
		}
	}
}

func TestPartsCoverOnce(t *testing.T) {
	for n := range 70 {
		for parts := 1; parts < 6; parts++ {
			end := 0
			for i := range parts {
				first, last := Parts(n, parts, i, 16)
				if first != end || last < first {
					t.Fatalf("Parts(%d, %d, %d): [%d, %d) after %d", n, parts, i, first, last, end)
				}
				end = last
			}
			if end != n {
				t.Fatalf("Parts(%d, %d) ends at %d", n, parts, end)
			}
		}
	}
}

func TestAdvice(t *testing.T) {
	fatal, slow := Advice([]Feature{{"avx2", true, true, true}, {"avx512", false, true, false}})
	if fatal != "" || slow != "" {
		t.Errorf("good build: %q %q", fatal, slow)
	}
	if fatal, _ = Advice([]Feature{{"avx512", true, false, false}}); fatal == "" {
		t.Error("no word about instructions that would crash")
	}
	if _, slow = Advice([]Feature{{"avx2", false, true, true}}); slow == "" {
		t.Error("no word about instructions left unused")
	}
}

// BenchmarkFFN is one expert of Qwen3-30B-A3B's shape on one core, next to
// reading its bytes.
func BenchmarkFFN(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	const dim, ff = 2048, 768
	mk := func(kind gguf.Type, in, out int) Matrix {
		var rows Rows
		rows.Quantize(kind, randomRows(r, out, in), out, in)
		m, err := NewMatrix(kind, in, out, rows.data)
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
	f := FFN{W1: mk(gguf.Q4_K, dim, ff), W3: mk(gguf.Q4_K, dim, ff), W2: mk(gguf.Q6_K, ff, dim)}
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			x, y := randomRows(r, n, dim), make([]float32, n*dim)
			var rows Rows
			var s Scratch
			b.SetBytes(int64(f.W1.Bytes() + f.W2.Bytes() + f.W3.Bytes()))
			for b.Loop() {
				rows.Quantize(f.W1.Activations(), x, n, dim)
				f.Apply(&s, &rows, nil, y)
			}
		})
	}
}

// Dots agrees with plain float64 on lengths that no lane divides.
func TestDots(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 7, 64, 1000} {
		a, x := make([]float32, 3*n), make([]float32, n)
		for i := range a {
			a[i] = float32(r.NormFloat64())
		}
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		var out [3]float32
		Dots(a, x, out[:])
		for k, got := range out {
			var want float64
			for i, v := range x {
				want += float64(a[k*n+i]) * float64(v)
			}
			if math.Abs(float64(got)-want) > 1e-5*float64(n) {
				t.Errorf("%d values, row %d: %v, want %v", n, k, got, want)
			}
		}
	}
	Dots(nil, nil, nil)
}

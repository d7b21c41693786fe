package ggml

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

var groupedTypes = []gguf.Type{gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}

// TestGroupedBits: the product of many rows is, bit for bit, that of each row
// alone, whatever the number of rows, the width of the matrix and its height.
func TestGroupedBits(t *testing.T) {
	for _, kind := range groupedTypes {
		t.Run(kind.String(), func(t *testing.T) {
			t.Log("grouped:", Grouped(kind))
			r := rand.New(rand.NewPCG(11, uint64(kind)))
			for _, in := range []int{256, 768, 2048, 4352, 8448} {
				const out = 41 // two groups and a rest
				m, _ := quantized(t, r, kind, in, out)
				for _, n := range []int{2, 3, 5, 8, 13, 67} {
					x := randomRows(r, n, in)
					clear(x[:in/2]) // blocks of zeros
					for i := range in {
						x[in+i] *= 1e4 // and a row of other size
					}
					var all, one Rows
					all.Quantize(m.Activations(), x, n, in)
					y, alone := make([]float32, n*out), make([]float32, out)
					m.Multiply(&all, 0, out, y, out)
					for row := range n {
						one.Quantize(m.Activations(), x[row*in:(row+1)*in], 1, in)
						m.Multiply(&one, 0, out, alone, out)
						for i := range alone {
							if alone[i] != y[row*out+i] {
								t.Fatalf("%d rows of %d, row %d output %d: %v, alone %v", n, in, row, i, y[row*out+i], alone[i])
							}
						}
					}
				}
			}
		})
	}
}

// processorTime is what this process has used. On a machine that others use
// too it says more than the time on the wall.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMultiply is a product of n rows on one core; GMAC/s are of processor time.
func BenchmarkMultiply(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	const in, out = 2048, 768
	for _, kind := range groupedTypes {
		var w Rows
		w.Quantize(kind, randomRows(r, out, in), out, in)
		m, err := NewMatrix(kind, in, out, w.data)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 2, 4, 8, 32} {
			b.Run(fmt.Sprintf("%v/rows=%d", kind, n), func(b *testing.B) {
				var x Rows
				x.Quantize(m.Activations(), randomRows(r, n, in), n, in)
				y := make([]float32, n*out)
				before := processorTime(b)
				for b.Loop() {
					m.Multiply(&x, 0, out, y, out)
				}
				b.ReportMetric(float64(in*out*n)*float64(b.N)/(processorTime(b)-before).Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

// TestSingleBits: one activation row with several weight rows at a time gives
// the bits of ggml's dot product, which takes what is less than four of them.
func TestSingleBits(t *testing.T) {
	for _, kind := range []gguf.Type{gguf.Q8_0, gguf.MXFP4} {
		r := rand.New(rand.NewPCG(12, uint64(kind)))
		for _, in := range []int{32, 64, 96, 768, 2880, 4096} {
			const out = 23
			m, _ := quantized(t, r, kind, in, out)
			x := randomRows(r, 1, in)
			clear(x[:in/2])
			var one Rows
			one.Quantize(m.Activations(), x, 1, in)
			y, alone := make([]float32, out), make([]float32, out)
			m.Multiply(&one, 1, out, y, out)
			for i := 1; i < out; i++ {
				m.Multiply(&one, i, i+1, alone, out)
				if alone[i] != y[i] {
					t.Fatalf("%v, width %d, output %d: %v, alone %v", kind, in, i, y[i], alone[i])
				}
			}
		}
	}
}

// BenchmarkStream is a product of one row with a matrix too large for the
// caches, on one core: what decoding waits for.
func BenchmarkStream(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	const some, times = 64, 512
	for _, kind := range []gguf.Type{gguf.Q8_0, gguf.MXFP4, gguf.Q4_K, gguf.Q6_K} {
		for _, in := range []int{2048, 2816, 4096, 11264} {
			var w, x Rows
			w.Quantize(kind, randomRows(r, some, in), some, in)
			m, err := NewMatrix(kind, in, some*times, bytes.Repeat(w.data, times))
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%v/width=%d", kind, in), func(b *testing.B) {
				x.Quantize(m.Activations(), randomRows(r, 1, in), 1, in)
				y := make([]float32, m.Out)
				b.SetBytes(int64(m.Bytes()))
				for b.Loop() {
					m.Multiply(&x, 0, m.Out, y, m.Out)
				}
			})
		}
	}
}

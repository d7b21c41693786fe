package ggml

/*
#cgo CFLAGS: -O3
#cgo linux LDFLAGS: -lstdc++ -lm -lpthread
#cgo darwin LDFLAGS: -lc++
#include "kernels.h"
#include "rows.h"
extern void ggml_cpu_init(void);
*/
import "C"

import (
	"fmt"
	"unsafe"

	// Links the library itself.
	_ "github.com/ollama/ollama/ml/backend/ggml/ggml/src"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Matrix is a view of weights: Out rows of In values each, so that a product
// takes rows of In activations to rows of Out values. It keeps a reference to
// the bytes it was made from and never copies them. The zero Matrix is empty.
type Matrix struct {
	In, Out int
	Type    gguf.Type
	data    []byte
	row     int       // bytes of a row
	takes   gguf.Type // see Activations
}

// NewMatrix views data as a matrix. The data must stay as it is for as long as
// the matrix is used; a file mapping must outlive it.
func NewMatrix(t gguf.Type, in, out int, data []byte) (Matrix, error) {
	C.ggml_cpu_init() // fills the half-precision tables once; later calls return at once
	if !Multiplies(t) {
		return Matrix{}, fmt.Errorf("ggml: no CPU kernel multiplies by %v", t)
	}
	if in <= 0 || out <= 0 || in%t.BlockSize() != 0 {
		return Matrix{}, fmt.Errorf("ggml: a (%d, %d) matrix of %v: rows must be whole blocks of %d", out, in, t, t.BlockSize())
	}
	row := int(C.ms_row_bytes(C.int(t), C.int64_t(in)))
	if len(data) != row*out {
		return Matrix{}, fmt.Errorf("ggml: a (%d, %d) matrix of %v takes %d bytes, got %d", out, in, t, row*out, len(data))
	}
	m := Matrix{In: in, Out: out, Type: t, data: data, row: row, takes: gguf.Type(C.ms_activation_type(C.int(t)))}
	// The kernels of the activation type read its block size of values at a time.
	if act := m.Activations(); in%act.BlockSize() != 0 {
		return Matrix{}, fmt.Errorf("ggml: rows of %d values do not fill blocks of %v", in, act)
	}
	return m, nil
}

// Multiplies reports whether the CPU kernels have a product for this type.
func Multiplies(t gguf.Type) bool { return C.ms_type_multiplies(C.int(t)) != 0 }

// Activations is the format that rows must have to be multiplied by m.
func (m Matrix) Activations() gguf.Type { return m.takes }

// Bytes is the size of the matrix.
func (m Matrix) Bytes() int { return len(m.data) }

// Dequantize widens row i into dst, which has room for In values.
func (m Matrix) Dequantize(i int, dst []float32) {
	_ = dst[m.In-1]
	C.ms_dequantize(C.int(m.Type), unsafe.Pointer(&m.data[i*m.row]), (*C.float)(&dst[0]), C.int(m.In))
}

// Rows are activations ready to be multiplied: N rows of Dim values in a
// matrix's activation format. The memory is reused from one Quantize to the
// next, so the zero Rows is the way to begin.
type Rows struct {
	N, Dim int
	Type   gguf.Type
	data   []byte
}

// Quantize fills r with the n rows of dim floats in x, in format t.
func (r *Rows) Quantize(t gguf.Type, x []float32, n, dim int) {
	r.resize(t, n, dim)
	r.Fill(x, 0, n)
}

// resize makes room for n rows without filling them.
func (r *Rows) resize(t gguf.Type, n, dim int) {
	size := n * int(C.ms_row_bytes(C.int(t), C.int64_t(dim)))
	if cap(r.data) < size {
		r.data = make([]byte, size)
	}
	r.data = r.data[:size]
	r.N, r.Dim, r.Type = n, dim, t
}

// Fill quantises rows [first, last) from x, which holds all N rows.
func (r *Rows) Fill(x []float32, first, last int) {
	if first >= last {
		return
	}
	_ = x[last*r.Dim-1]
	size := len(r.data) / r.N
	C.ms_quantize(C.int(r.Type), (*C.float)(&x[first*r.Dim]), unsafe.Pointer(&r.data[first*size]), C.int(r.Dim), C.int(last-first))
}

// Multiply computes outputs [first, last) for every row of x:
// y[t*stride+o] = dot(row o of m, row t of x).
func (m Matrix) Multiply(x *Rows, first, last int, y []float32, stride int) {
	if first >= last || x.N == 0 {
		return
	}
	m.check(x)
	_ = y[(x.N-1)*stride+last-1]
	C.ms_multiply(unsafe.Pointer(&m.data[0]), C.size_t(m.row), C.int(m.Type), C.int(m.In), C.int(first), C.int(last),
		unsafe.Pointer(&x.data[0]), C.int(x.N), (*C.float)(&y[0]), C.int(stride))
}

func (m Matrix) check(x *Rows) {
	if x.Dim != m.In || x.Type != m.Activations() {
		panic(fmt.Sprintf("ggml: (%d, %d) rows of %v for a (%d, %d) matrix of %v", x.N, x.Dim, x.Type, m.Out, m.In, m.Type))
	}
}

// FFN is a feed-forward network of two layers: W2 act(W1 x + B1, W3 x + B3) +
// B2. W1 and W3 are (FF, Dim), W2 is (Dim, FF). The biases are all there or
// all nil.
type FFN struct {
	W1, W2, W3 Matrix
	B1, B2, B3 []float32
	Act        Activation
}

// float is the first of v for C, NULL when v is nil.
func float(v []float32) *C.float { return (*C.float)(unsafe.SliceData(v)) }

// Activations is the format of the rows that the network takes, and whether
// W1 and W3 agree on one, as they do in every published file.
func (f FFN) Activations() (gguf.Type, bool) {
	return f.W1.Activations(), f.W1.Activations() == f.W3.Activations()
}

// Split is one network's work, cut in two halves that can each be shared out by
// [Pool.Feed]: the inner values, then the outputs. The zero Split is ready; it is
// reused from one Begin to the next.
type Split struct {
	f     FFN
	x     *Rows
	rows  []int32
	n     int
	a, b  []float32
	inner Rows
	y     []float32
}

// splitGrain is what parts of a Split begin at a multiple of: the widest
// vector of floats, so that a part rounds as the whole does.
const splitGrain = 16

// Begin prepares the network for the rows of x named by rows, at least one, to
// be computed into y, (len(rows), Dim).
func (s *Split) Begin(f FFN, x *Rows, rows []int32, y []float32) {
	f.W1.check(x)
	f.W3.check(x)
	for _, r := range rows {
		_ = x.data[int(r)*(len(x.data)/x.N)]
	}
	_ = y[len(rows)*f.W2.Out-1]
	s.f, s.x, s.rows, s.n, s.y = f, x, rows, len(rows), y
	s.a, s.b = grow(s.a, s.n*f.W1.Out), grow(s.b, s.n*f.W1.Out)
	s.inner.resize(f.W2.Activations(), s.n, f.W1.Out)
}

// inside computes part i of so many parts of the inner values.
func (s *Split) inside(i, parts int) {
	first, last := splitRange(s.f.W1.Out, parts, i)
	if first >= last {
		return
	}
	C.ms_feed_inner(unsafe.Pointer(&s.f.W1.data[0]), C.int(s.f.W1.Type), unsafe.Pointer(&s.f.W3.data[0]), C.int(s.f.W3.Type),
		C.int(s.f.W1.In), C.int(s.f.W1.Out), C.int(first), C.int(last),
		unsafe.Pointer(&s.x.data[0]), (*C.int32_t)(&s.rows[0]), C.int(s.n), (*C.float)(&s.a[0]), (*C.float)(&s.b[0]),
		C.int(s.f.Act), float(s.f.B1), float(s.f.B3))
}

// quantize readies the inner values, once all parts of them are there.
func (s *Split) quantize() { s.inner.Fill(s.a, 0, s.n) }

// outside computes part i of so many parts of the outputs.
func (s *Split) outside(i, parts int) {
	y := s.y
	first, last := splitRange(s.f.W2.Out, parts, i)
	s.f.W2.Multiply(&s.inner, first, last, y, s.f.W2.Out)
	if s.f.B2 == nil || first >= last {
		return
	}
	for t := range s.n {
		AddScaled(1, s.f.B2[first:last], y[t*s.f.W2.Out+first:t*s.f.W2.Out+last])
	}
}

func splitRange(n, parts, i int) (first, last int) { return Parts(n, parts, i, splitGrain) }

// Scratch is the working memory of one goroutine. The zero Scratch is ready;
// it grows to the largest work seen and is then reused.
type Scratch struct {
	a, b   []float32
	inner  Rows
	scores []float32
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// Apply computes the network for the rows of x named by rows (all when nil)
// into y, (len(rows), Dim).
func (f FFN) Apply(s *Scratch, x *Rows, rows []int32, y []float32) {
	f.W1.check(x)
	f.W3.check(x)
	n := x.N
	var idx *C.int32_t
	if rows != nil {
		if n = len(rows); n == 0 {
			return
		}
		idx = (*C.int32_t)(&rows[0])
		for _, r := range rows {
			_ = x.data[int(r)*(len(x.data)/x.N)]
		}
	}
	ff := f.W1.Out
	s.a, s.b = grow(s.a, n*ff), grow(s.b, n*ff)
	s.inner.resize(f.W2.Activations(), n, ff)
	_ = y[n*f.W2.Out-1]
	C.ms_feed_forward(
		unsafe.Pointer(&f.W1.data[0]), C.int(f.W1.Type), unsafe.Pointer(&f.W2.data[0]), C.int(f.W2.Type),
		unsafe.Pointer(&f.W3.data[0]), C.int(f.W3.Type), C.int(f.W1.In), C.int(ff),
		unsafe.Pointer(&x.data[0]), idx, C.int(n),
		(*C.float)(&s.a[0]), (*C.float)(&s.b[0]), unsafe.Pointer(&s.inner.data[0]), (*C.float)(&y[0]),
		C.int(f.Act), float(f.B1), float(f.B2), float(f.B3))
}

// Grouped reports whether products of several activation rows by this type go
// through this package's kernels for sixteen weight rows at a time. They give
// the bits of ggml's dot products; the first call for a type proves it on
// random numbers, and a build where that fails does without them.
func Grouped(t gguf.Type) bool {
	C.ggml_cpu_init()
	return Multiplies(t) && C.ms_group(C.int(t)) != nil
}

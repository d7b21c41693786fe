package ggml

/*
#cgo LDFLAGS: -lpthread
#include "crew.h"
*/
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Product is one matrix to multiply rows with, and where the answer goes:
// (rows, W.Out).
type Product struct {
	W Matrix
	Y []float32
}

// Multiply multiplies the rows of x by the matrices of the products, each cut in
// so many pieces, on the pool's workers.
func (p *Pool) Multiply(x *Rows, products []Product, pieces int) {
	if len(products) == 0 || x.N == 0 {
		return
	}
	if p.throttle.on.Load() {
		p.Do(len(products)*pieces, func(_ *Scratch, i int) {
			w := products[i/pieces]
			first, last := splitRange(w.W.Out, pieces, i%pieces)
			w.W.Multiply(x, first, last, w.Y, w.W.Out)
		})
		return
	}
	t := p.tables.Get().(*table)
	defer p.tables.Put(t)
	t.products = t.products[:0]
	for _, w := range products {
		w.W.check(x)
		_ = w.Y[x.N*w.W.Out-1]
		t.products = append(t.products, C.struct_ms_product{
			w: address(w.W.data), y: address(w.Y), row_bytes: C.size_t(w.W.row),
			_type: C.int32_t(w.W.Type), cols: C.int32_t(w.W.In), out: C.int32_t(w.W.Out),
		})
	}
	C.ms_crew_multiply(p.crew, &t.products[0], C.int(len(products)), C.int(p.pieces(pieces)), unsafe.Pointer(&x.data[0]), C.int(x.N))
	runtime.KeepAlive(products)
}

// Feed computes networks that were begun, each half of each cut in so many
// pieces, on the pool's workers: into the memory that [Split.Begin] was given.
func (p *Pool) Feed(splits []*Split, pieces int) {
	if len(splits) == 0 {
		return
	}
	if p.throttle.on.Load() {
		p.Do(len(splits)*pieces, func(_ *Scratch, i int) { splits[i/pieces].inside(i%pieces, pieces) })
		for _, s := range splits {
			s.quantize()
		}
		p.Do(len(splits)*pieces, func(_ *Scratch, i int) { splits[i/pieces].outside(i%pieces, pieces) })
		return
	}
	t := p.tables.Get().(*table)
	defer p.tables.Put(t)
	t.networks = t.networks[:0]
	for _, s := range splits {
		t.networks = append(t.networks, C.struct_ms_network{
			w1: address(s.f.W1.data), w2: address(s.f.W2.data), w3: address(s.f.W3.data),
			b1: address(s.f.B1), b2: address(s.f.B2), b3: address(s.f.B3),
			x: address(s.x.data), rows: address(s.rows), a: address(s.a), b: address(s.b), q: address(s.inner.data), y: address(s.y),
			type1: C.int32_t(s.f.W1.Type), type2: C.int32_t(s.f.W2.Type), type3: C.int32_t(s.f.W3.Type),
			dim: C.int32_t(s.f.W1.In), ff: C.int32_t(s.f.W1.Out), act: C.int32_t(s.f.Act), n: C.int32_t(s.n),
		})
	}
	C.ms_crew_feed(p.crew, &t.networks[0], C.int(len(splits)), C.int(p.pieces(pieces)))
	runtime.KeepAlive(splits)
}

// Head is one query head to be run over N positions; see [Attend].
type Head struct {
	Q           []float32
	KV          Stored
	N           int
	Scale, Sink float32
	Out         []float32
}

// Attend computes heads on the pool's workers.
func (p *Pool) Attend(heads []Head) {
	if len(heads) == 0 {
		return
	}
	if p.throttle.on.Load() {
		p.Do(len(heads), func(s *Scratch, i int) {
			h := heads[i]
			Attend(s, h.Q, h.KV, h.N, h.Scale, h.Sink, h.Out)
		})
		return
	}
	t := p.tables.Get().(*table)
	defer p.tables.Put(t)
	t.heads = t.heads[:0]
	longest, work := 0, 0
	for _, h := range heads {
		_, _ = h.KV.Keys[(h.N-1)*h.KV.KeyStride+len(h.Q)-1], h.KV.Values[(h.N-1)*h.KV.ValueStride+len(h.Out)-1]
		t.heads = append(t.heads, C.struct_ms_head{
			q: address(h.Q), k: address(h.KV.Keys), v: address(h.KV.Values), out: address(h.Out),
			n: C.int32_t(h.N), kstride: C.int32_t(h.KV.KeyStride), vstride: C.int32_t(h.KV.ValueStride),
			kd: C.int32_t(len(h.Q)), vd: C.int32_t(len(h.Out)), scale: C.float(h.Scale), sink: C.float(h.Sink),
		})
		longest, work = max(longest, h.N), work+h.N*(len(h.Q)+len(h.Out))
	}
	s := p.own.Get().(*Scratch)
	defer p.own.Put(s)
	s.scores = grow(s.scores, longest)
	// A piece is worth waking somebody from some microseconds on.
	pieces := min(len(heads), 4*p.workers, 1+work/attendLeast)
	C.ms_crew_attend(p.crew, &t.heads[0], C.int(len(heads)), C.int(p.pieces(pieces)), (*C.float)(&s.scores[0]))
	runtime.KeepAlive(heads)
}

// attendLeast is how many products of a head and its positions are a piece of
// work, and rowsLeast how many rows to be quantised or normalised.
const (
	attendLeast = 1 << 17
	rowsLeast   = 8
)

// Quantize fills r with the n rows of dim floats in x, in format t, on the pool's
// workers.
func (p *Pool) Quantize(r *Rows, t gguf.Type, x []float32, n, dim int) {
	r.resize(t, n, dim)
	if n == 0 {
		return
	}
	_ = x[n*dim-1]
	C.ms_crew_quantize(p.crew, C.int(t), (*C.float)(&x[0]), unsafe.Pointer(&r.data[0]), C.int(dim), C.int(n), C.int(p.pieces(p.portions(n))))
}

// Norm sets each of n rows of y to [RMSNorm] of x's, on the pool's workers.
func (p *Pool) Norm(x, w, y []float32, n int, eps float32) {
	if n == 0 {
		return
	}
	dim := len(w)
	_, _ = x[n*dim-1], y[n*dim-1]
	C.ms_crew_norm(p.crew, (*C.float)(&x[0]), (*C.float)(&w[0]), (*C.float)(&y[0]), C.int(dim), C.float(eps), C.int(n), C.int(p.pieces(p.portions(n))))
}

func (p *Pool) portions(rows int) int { return max(1, min(p.workers, rows/rowsLeast)) }

// pieces is how many are of use.
func (p *Pool) pieces(n int) int {
	if p.workers == 1 {
		return 1
	}
	return n
}

// table is what C is told of the work of one call.
type table struct {
	products []C.struct_ms_product
	networks []C.struct_ms_network
	heads    []C.struct_ms_head
}

// address is where a slice begins; 0 when it is nil.
func address[T any](s []T) C.uintptr_t {
	return C.uintptr_t(uintptr(unsafe.Pointer(unsafe.SliceData(s))))
}

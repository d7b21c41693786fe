package trunk

import "github.com/moeswarm/moeswarm/internal/ggml"

// parts are the pieces of work that a lane gives to the pool, made once, since a
// closure is an allocation, and what each is to work on at the moment.
type parts struct {
	byRows, quantize, run, attend, inner, outer func(*ggml.Scratch, int)
	normRow, rotateRow                          func(r int)

	rows      int         // of the step, for byRows and quantize
	row       func(r int) // of byRows
	from      []float32   // of quantize
	w, x, y   []float32   // of normRow
	layer     int         // of rotateRow
	pending   []product   // of run
	pieces    int         // of each of pending
	attending attending
	split     ggml.Split // of inner and outer
}

func (t *Lane) makeParts() {
	p, workers := &t.parts, t.pool.Workers()
	p.byRows = func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(p.rows, workers, i, 1)
		for r := first; r < last; r++ {
			p.row(r)
		}
	}
	p.quantize = func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(p.rows, workers, i, 1)
		t.quant.Fill(p.from, first, last)
	}
	// Parts are whole cache lines of output, so that workers do not share any.
	p.run = func(_ *ggml.Scratch, i int) {
		w := p.pending[i/p.pieces]
		first, last := ggml.Parts(w.w.Out, p.pieces, i%p.pieces, 16)
		w.w.Multiply(&t.quant, first, last, w.y, w.w.Out)
	}
	p.attend = t.attendHead
	fine := workers * partsPerWorker
	p.inner = func(_ *ggml.Scratch, i int) { p.split.Inner(i, fine) }
	p.outer = func(_ *ggml.Scratch, i int) { p.split.Outer(i, fine, t.wide) }
	dim := t.shape.Dim
	p.normRow = func(r int) {
		ggml.RMSNorm(p.x[r*dim:(r+1)*dim], p.w, p.y[r*dim:(r+1)*dim], t.shape.NormEps)
	}
	p.rotateRow = func(r int) {
		w := &t.w.layers[p.layer]
		t.rotate(r, t.q, t.shape.Heads, w.qNorm)
		t.rotate(r, t.k, t.shape.KVHeads, w.kNorm)
	}
}

// norm normalises rows of x into y.
func (t *Lane) norm(w, x, y []float32, rows int) {
	t.parts.w, t.parts.x, t.parts.y = w, x, y
	t.byRows(rows, t.parts.normRow)
}

// worthwhile is how many rows it takes for work of a few microseconds each to
// be worth waking the pool.
const worthwhile = 8

// byRows calls f for each row, on the pool when there are enough of them.
func (t *Lane) byRows(rows int, f func(r int)) {
	if rows < worthwhile {
		for r := range rows {
			f(r)
		}
		return
	}
	t.parts.rows, t.parts.row = rows, f
	t.pool.Do(t.pool.Workers(), t.parts.byRows)
}

// product is one matrix to multiply rows with, and where the answer goes:
// (Rows, w.Out).
type product struct {
	w ggml.Matrix
	y []float32
}

// multiply computes products that share the rows x. Matrices whose activation
// formats differ are done one format after the other.
func (t *Lane) multiply(x []float32, rows int, products ...product) {
	for len(products) > 0 {
		kind := products[0].w.Activations()
		t.parts.pending = t.parts.pending[:0]
		rest := products[:0]
		for _, p := range products {
			if p.w.Activations() == kind {
				t.parts.pending = append(t.parts.pending, p)
			} else {
				rest = append(rest, p)
			}
		}
		products = rest
		t.quant.Reserve(kind, rows, t.parts.pending[0].w.In)
		t.quantize(x, rows)
		t.run()
	}
}

func (t *Lane) quantize(x []float32, rows int) {
	if rows < worthwhile {
		t.quant.Fill(x, 0, rows)
		return
	}
	t.parts.rows, t.parts.from = rows, x
	t.pool.Do(t.pool.Workers(), t.parts.quantize)
}

// run cuts each pending product's outputs into parts.
func (t *Lane) run() {
	t.parts.pieces = t.pool.Workers()
	for _, p := range t.parts.pending {
		if p.w.Bytes() >= fineBytes {
			t.parts.pieces = t.pool.Workers() * partsPerWorker
		}
	}
	t.pool.Do(len(t.parts.pending)*t.parts.pieces, t.parts.run)
}

// A worker may be held up by another program. Matrices of fineBytes, which
// take some tenths of a millisecond to read, are cut into partsPerWorker times
// as many parts as there are workers, so that the others take over from it.
const (
	fineBytes      = 1 << 20
	partsPerWorker = 4
)

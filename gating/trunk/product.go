package trunk

import "github.com/moeswarm/moeswarm/internal/ggml"

// norm normalises rows of x into y.
func (t *Lane) norm(w, x, y []float32, rows int) {
	dim := t.shape.Dim
	if rows < worthwhile { // as byRows would, but without a closure to allocate
		for r := range rows {
			ggml.RMSNorm(x[r*dim:(r+1)*dim], w, y[r*dim:(r+1)*dim], t.shape.NormEps)
		}
		return
	}
	t.byRows(rows, func(r int) {
		ggml.RMSNorm(x[r*dim:(r+1)*dim], w, y[r*dim:(r+1)*dim], t.shape.NormEps)
	})
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
	parts := t.pool.Workers()
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(rows, parts, i, 1)
		for r := first; r < last; r++ {
			f(r)
		}
	})
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
		t.pending = t.pending[:0]
		rest := products[:0]
		for _, p := range products {
			if p.w.Activations() == kind {
				t.pending = append(t.pending, p)
			} else {
				rest = append(rest, p)
			}
		}
		products = rest
		t.quant.Reserve(kind, rows, t.pending[0].w.In)
		t.quantize(x, rows)
		t.run()
	}
}

func (t *Lane) quantize(x []float32, rows int) {
	if rows < worthwhile {
		t.quant.Fill(x, 0, rows)
		return
	}
	parts := t.pool.Workers()
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(rows, parts, i, 1)
		t.quant.Fill(x, first, last)
	})
}

// run cuts each pending product's outputs into one part per worker. Parts are
// whole cache lines of output, so that workers do not share any.
func (t *Lane) run() {
	if t.runPart == nil { // made once: a closure is an allocation
		t.runPart = func(_ *ggml.Scratch, i int) {
			parts := t.pool.Workers()
			p := t.pending[i/parts]
			first, last := ggml.Parts(p.w.Out, parts, i%parts, 16)
			p.w.Multiply(&t.quant, first, last, p.y, p.w.Out)
		}
	}
	t.pool.Do(len(t.pending)*t.pool.Workers(), t.runPart)
}

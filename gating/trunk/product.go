package trunk

import "github.com/moeswarm/moeswarm/internal/ggml"

// parts are the pieces of work that a lane gives to the pool, made once, since a
// closure is an allocation, and what each is to work on at the moment.
type parts struct {
	byRows    func(*ggml.Scratch, int)
	rotateRow func(r int)

	rows    int         // of the step, for byRows
	row     func(r int) // of byRows
	layer   int         // of rotateRow
	pending []product   // of run
	heads   []ggml.Head // of attend
	split   ggml.Split  // of network
	splits  [1]*ggml.Split
}

func (t *Lane) makeParts() {
	p, workers := &t.parts, t.pool.Workers()
	p.byRows = func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(p.rows, workers, i, 1)
		for r := first; r < last; r++ {
			p.row(r)
		}
	}
	p.splits[0] = &p.split
	p.rotateRow = func(r int) {
		w := &t.w.layers[p.layer]
		t.rotate(r, t.q, t.shape.Heads, w.qNorm)
		t.rotate(r, t.k, t.shape.KVHeads, w.kNorm)
	}
}

// norm normalises rows of x into y.
func (t *Lane) norm(w, x, y []float32, rows int) {
	t.pool.Norm(x, w, y, rows, t.shape.NormEps)
}

// worthwhile is how many rows it takes for work of a few microseconds each to
// be worth waking the pool.
const worthwhile = 32

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
// (Rows, W.Out).
type product = ggml.Product

// multiply computes products that share the rows x. Matrices whose activation
// formats differ are done one format after the other.
func (t *Lane) multiply(x []float32, rows int, products ...product) {
	for len(products) > 0 {
		kind := products[0].W.Activations()
		t.parts.pending = t.parts.pending[:0]
		rest := products[:0]
		for _, p := range products {
			if p.W.Activations() == kind {
				t.parts.pending = append(t.parts.pending, p)
			} else {
				rest = append(rest, p)
			}
		}
		products = rest
		t.pool.Quantize(&t.quant, kind, x, rows, t.parts.pending[0].W.In)
		t.run()
	}
}

// run cuts each pending product's outputs into parts.
func (t *Lane) run() {
	pieces := t.pool.Workers()
	for _, p := range t.parts.pending {
		if p.W.Bytes() >= fineBytes {
			pieces = t.pool.Workers() * partsPerWorker
		}
	}
	t.pool.Multiply(&t.quant, t.parts.pending, pieces)
}

// A worker may be held up by another program. Matrices of fineBytes, which
// take some tenths of a millisecond to read, are cut into partsPerWorker times
// as many parts as there are workers, so that the others take over from it.
const (
	fineBytes      = 1 << 20
	partsPerWorker = 4
)

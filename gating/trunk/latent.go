package trunk

import "github.com/moeswarm/moeswarm/internal/ggml"

// latentScratch is a lane's working memory for latent attention.
type latentScratch struct {
	qc    []float32 // (Rows, QRank) compressed queries
	kv    []float32 // (Rows, Rank + Rotated)
	short []float32 // (Rows, Rank), the compressed keys and values alone
	wide  []float32 // (Rows, Heads·(Plain + ValueDim)) of kv_b
	heads []headScratch
}

// headScratch serves the products that each head has with matrices of its own.
type headScratch struct {
	in   []float32
	rows ggml.Rows
}

func (t *Lane) reserveLatent(rows int) {
	d := t.design.Attention.Latent
	if d == nil {
		return
	}
	x := &t.latentAt
	x.qc, x.kv = grow(x.qc, rows*d.QRank), grow(x.kv, rows*(d.Rank+d.Rotated))
	if !d.Absorbed {
		x.short, x.wide = grow(x.short, rows*d.Rank), grow(x.wide, rows*t.shape.Heads*(d.Plain+d.ValueDim))
		return
	}
	if len(x.heads) == 0 {
		x.heads = make([]headScratch, t.shape.Heads)
	}
	// wide has the queries that meet compressed keys, and then what they find.
	x.wide = grow(x.wide, rows*t.shape.Heads*(2*d.Rank+d.Rotated))
}

// latent is multi-head latent attention of the rows in h, into att.
func (t *Lane) latent(l int, s Step) {
	d, x, w, rows := t.design.Attention.Latent, &t.latentAt, t.w.layers[l].latent, s.Rows()
	eps := t.shape.NormEps
	if d.QRank > 0 {
		t.multiply(t.h, rows, product{W: w.qA, Y: x.qc}, product{W: w.kvA, Y: x.kv})
		t.byRows(rows, func(r int) {
			qc := x.qc[r*d.QRank : (r+1)*d.QRank]
			ggml.RMSNorm(qc, w.qNorm, qc, eps)
		})
		t.multiply(x.qc, rows, product{W: w.q, Y: t.q})
	} else {
		t.multiply(t.h, rows, product{W: w.q, Y: t.q}, product{W: w.kvA, Y: x.kv})
	}
	width := d.Rank + d.Rotated
	t.byRows(rows, func(r int) {
		kv := x.kv[r*width : (r+1)*width]
		ggml.RMSNorm(kv[:d.Rank], w.kvNorm, kv[:d.Rank], eps)
		t.angles.apply(r, kv[d.Rank:])
		for h := range t.shape.Heads {
			t.angles.apply(r, t.queryHead(r, h)[d.Plain:])
		}
	})
	if d.Absorbed {
		t.absorbed(l, s)
	} else {
		t.expanded(l, s)
	}
}

func (t *Lane) queryHead(r, h int) []float32 {
	hd := t.shape.HeadDim
	at := (r*t.shape.Heads + h) * hd
	return t.q[at : at+hd]
}

// expanded makes keys and values of all heads of the compressed vectors and
// stores them.
func (t *Lane) expanded(l int, s Step) {
	d, x, w, rows := t.design.Attention.Latent, &t.latentAt, t.w.layers[l].latent, s.Rows()
	heads, hd, width := t.shape.Heads, t.shape.HeadDim, d.Rank+d.Rotated
	for r := range rows {
		copy(x.short[r*d.Rank:], x.kv[r*width:r*width+d.Rank])
	}
	t.multiply(x.short, rows, product{W: w.kvB, Y: x.wide})
	for r := range rows {
		for h := range heads {
			from := x.wide[(r*heads+h)*(d.Plain+d.ValueDim):]
			k := t.k[(r*heads+h)*hd : (r*heads+h+1)*hd]
			copy(k, from[:d.Plain])
			copy(k[d.Plain:], x.kv[r*width+d.Rank:(r+1)*width])
			copy(t.v[(r*heads+h)*d.ValueDim:(r*heads+h+1)*d.ValueDim], from[d.Plain:])
		}
	}
	t.store(l, s, t.k, t.v)
	t.attend(l, s, query{q: t.q, heads: heads, shared: 1, keyDim: hd, valueDim: d.ValueDim, out: t.att})
}

// absorbed stores the compressed vectors themselves: queries are taken to
// where those are, and what they find is taken to values.
func (t *Lane) absorbed(l int, s Step) {
	d, x, w, rows := t.design.Attention.Latent, &t.latentAt, t.w.layers[l].latent, s.Rows()
	heads, width := t.shape.Heads, d.Rank+d.Rotated
	q, found := x.wide[:rows*heads*width], x.wide[rows*heads*width:rows*heads*(width+d.Rank)]
	t.pool.Do(heads, func(_ *ggml.Scratch, h int) {
		x.heads[h].multiply(w.kB[h], rows, func(r int) []float32 { return t.queryHead(r, h)[:d.Plain] },
			q[h*width:], heads*width)
		for r := range rows {
			copy(q[(r*heads+h)*width+d.Rank:(r*heads+h+1)*width], t.queryHead(r, h)[d.Plain:])
		}
	})
	t.store(l, s, x.kv, nil)
	t.attend(l, s, query{q: q, heads: heads, shared: heads, keyDim: width, valueDim: d.Rank, out: found})
	t.pool.Do(heads, func(_ *ggml.Scratch, h int) {
		x.heads[h].multiply(w.vB[h], rows, func(r int) []float32 { return found[(r*heads+h)*d.Rank : (r*heads+h+1)*d.Rank] },
			t.att[h*d.ValueDim:], heads*d.ValueDim)
	})
}

// multiply takes one row after another of a head through a matrix into y,
// whose rows are stride values apart.
func (s *headScratch) multiply(m ggml.Matrix, rows int, row func(r int) []float32, y []float32, stride int) {
	s.in = grow(s.in, rows*m.In)
	for r := range rows {
		copy(s.in[r*m.In:(r+1)*m.In], row(r))
	}
	s.rows.Quantize(m.Activations(), s.in, rows, m.In)
	m.Multiply(&s.rows, 0, m.Out, y, stride)
}

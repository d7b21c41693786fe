package trunk

import "github.com/moeswarm/moeswarm/internal/ggml"

// attention adds one layer's attention to the residual stream: grouped-query
// attention with a norm on each query and key head before the rotation.
func (t *Lane) attention(l int, s Step) {
	w, rows := &t.w.layers[l], s.Rows()
	t.norm(w.attnNorm, t.x, t.h, rows)
	t.multiply(t.h, rows, product{w.q, t.q}, product{w.k, t.k}, product{w.v, t.v})
	t.byRows(rows, func(r int) {
		t.rotate(r, t.q, t.shape.Heads, w.qNorm)
		t.rotate(r, t.k, t.shape.KVHeads, w.kNorm)
	})
	t.store(l, s)
	t.attend(l, s)
	// h is free again: it takes the answer before the residual addition.
	t.multiply(t.att, rows, product{w.out, t.h})
	ggml.AddScaled(1, t.h[:rows*t.shape.Dim], t.x)
}

// rotate normalises and rotates the heads of row r.
func (t *Lane) rotate(r int, heads []float32, n int, norm []float32) {
	hd := t.shape.HeadDim
	for h := range n {
		v := heads[(r*n+h)*hd : (r*n+h+1)*hd]
		ggml.RMSNorm(v, norm, v, t.shape.NormEps)
		t.angles.apply(r, v)
	}
}

// store puts the step's keys and values where the sequences keep them.
func (t *Lane) store(l int, s Step) {
	width := t.kv.width
	for r := range s.Rows() {
		seq, at := t.seqs[r], s.Positions[r]*width
		copy(seq.k[l][at:at+width], t.k[r*width:(r+1)*width])
		copy(seq.v[l][at:at+width], t.v[r*width:(r+1)*width])
	}
}

// attend runs every query head of every row over the positions up to its own.
func (t *Lane) attend(l int, s Step) {
	heads, hd, width := t.shape.Heads, t.shape.HeadDim, t.kv.width
	shared := heads / t.shape.KVHeads // query heads per key/value head
	scale := t.attentionScale()
	t.pool.Do(s.Rows()*heads, func(scratch *ggml.Scratch, i int) {
		r, h := i/heads, i%heads
		seq, off := t.seqs[r], h/shared*hd
		ggml.Attend(scratch, t.q[i*hd:(i+1)*hd], seq.k[l][off:], seq.v[l][off:],
			s.Positions[r]+1, width, scale, t.att[i*hd:(i+1)*hd])
	})
}

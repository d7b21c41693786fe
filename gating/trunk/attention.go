package trunk

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ggml"
)

// attention adds one layer's attention to the residual stream.
func (t *Lane) attention(l int, s Step) {
	w, rows := &t.w.layers[l], s.Rows()
	t.norm(w.attnNorm, t.x, t.h, rows)
	if w.latent != nil {
		t.latent(l, s)
	} else {
		t.grouped(l, s)
	}
	// h is free again: it takes the answer before the residual addition.
	t.multiply(t.att, rows, product{W: w.out, Y: t.h})
	addBias(t.h, w.outBias, rows)
	ggml.AddScaled(t.design.ResidualScale, t.h[:rows*t.shape.Dim], t.x)
}

// grouped is grouped-query attention of the rows in h, into att.
func (t *Lane) grouped(l int, s Step) {
	w, rows := &t.w.layers[l], s.Rows()
	t.multiply(t.h, rows, product{W: w.q, Y: t.q}, product{W: w.k, Y: t.k}, product{W: w.v, Y: t.v})
	addBias(t.q, w.qBias, rows)
	addBias(t.k, w.kBias, rows)
	addBias(t.v, w.vBias, rows)
	t.parts.layer = l
	t.byRows(rows, t.parts.rotateRow)
	t.store(l, s, t.k, t.v)
	t.attend(l, s, query{
		q: t.q, heads: t.shape.Heads, shared: t.shape.Heads / t.shape.KVHeads,
		keyDim: t.shape.HeadDim, valueDim: t.shape.HeadDim, out: t.att,
	})
}

// addBias adds a bias, or nothing when it is nil, to rows of its length.
func addBias(x, bias []float32, rows int) {
	if n := len(bias); n > 0 {
		for r := range rows {
			ggml.AddScaled(1, bias, x[r*n:(r+1)*n])
		}
	}
}

// rotate normalises and rotates the heads of row r. A norm is as long as one
// head or as all of them; nil is none.
func (t *Lane) rotate(r int, heads []float32, n int, norm []float32) {
	hd, late := t.shape.HeadDim, t.design.Attention.NormAfterRope
	all := heads[r*n*hd : (r+1)*n*hd]
	each := len(norm) == hd
	if norm != nil && !each {
		ggml.RMSNorm(all, norm, all, t.shape.NormEps)
	}
	for h := range n {
		v := all[h*hd : (h+1)*hd]
		if each && !late {
			ggml.RMSNorm(v, norm, v, t.shape.NormEps)
		}
		t.angles.apply(r, v)
		if each && late {
			ggml.RMSNorm(v, norm, v, t.shape.NormEps)
		}
	}
}

// store puts the step's keys and values where the sequences keep them.
func (t *Lane) store(l int, s Step, k, v []float32) {
	kw, vw := t.kv.keys, t.kv.values
	for r := range s.Rows() {
		seq, at := t.seqs[r], s.Positions[r]
		copy(seq.k[l][at*kw:(at+1)*kw], k[r*kw:(r+1)*kw])
		copy(seq.v[l][at*vw:(at+1)*vw], v[r*vw:(r+1)*vw])
	}
}

// query is what heads ask of the keys and values stored.
type query struct {
	q                []float32 // (Rows, heads·keyDim)
	heads, shared    int       // query heads, and how many of them share keys and values
	keyDim, valueDim int
	out              []float32 // (Rows, heads·valueDim)
}

// attend runs every query head of every row over the positions up to its own
// that the layer sees. Where no values are stored of their own, they are the
// first values of the keys.
func (t *Lane) attend(l int, s Step, q query) {
	window, sinks := t.design.Attention.Window(l), t.w.layers[l].sinks
	kw, vw := t.kv.keys, t.kv.values
	heads := t.parts.heads[:0]
	for i := range s.Rows() * q.heads {
		r, h := i/q.heads, i%q.heads
		seq, group := t.seqs[r], h/q.shared
		end, first := s.Positions[r]+1, 0
		if window > 0 {
			first = max(0, end-window)
		}
		sink := float32(math.Inf(-1))
		if sinks != nil {
			sink = sinks[h]
		}
		k := seq.k[l][first*kw+group*q.keyDim:]
		v, stride := k, kw
		if vw > 0 {
			v, stride = seq.v[l][first*vw+group*q.valueDim:], vw
		}
		heads = append(heads, ggml.Head{
			Q: q.q[i*q.keyDim : (i+1)*q.keyDim], KV: ggml.Stored{Keys: k, Values: v, KeyStride: kw, ValueStride: stride},
			N: end - first, Scale: t.design.Attention.Scale, Sink: sink, Out: q.out[i*q.valueDim : (i+1)*q.valueDim],
		})
	}
	t.pool.Attend(heads)
	clear(heads)
	t.parts.heads = heads
}

package trunk

import (
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// weights of the trunk. Matrices are views of the model's mapping; vectors are
// small and copied to be aligned.
type weights struct {
	embed       ggml.Matrix // (Vocab, Dim)
	frequencies []float32   // (Rope.Dims/2) divide the rotation's; nil: ones
	layers      []layer
	headNorm    []float32   // (Dim)
	head        ggml.Matrix // (Vocab, Dim); embed again in models that tie them
}

// layer is one layer's dense part. Q is Heads·HeadDim, KV KVHeads·HeadDim.
// Biases are nil where the file has none.
type layer struct {
	attnNorm            []float32   // (Dim)
	q, k, v             ggml.Matrix // (Q, Dim), (KV, Dim), (KV, Dim); unless latent
	qBias, kBias, vBias []float32
	qNorm, kNorm        []float32   // (HeadDim) for each head, or (Q), (KV) for all together, or nil
	sinks               []float32   // (Heads) or nil
	latent              *latent     // nil: the usual attention
	out                 ggml.Matrix // (Dim, Heads·ValueDim)
	outBias             []float32

	ffnNorm  []float32   // (Dim)
	gate     ggml.Matrix // (Experts, Dim); empty in dense layers
	gateBias []float32
	// dense is the whole of a dense layer, or the shared expert of a sparse
	// one; nil: none.
	dense      *ggml.FFN
	sharedGate ggml.Matrix // (1, Dim): weighs the shared expert; empty: always 1
}

// latent is the attention that [expert.Latent] describes.
type latent struct {
	qA     ggml.Matrix // (QRank, Dim), empty when queries are not compressed
	qNorm  []float32   // (QRank)
	q      ggml.Matrix // (Q, QRank) or (Q, Dim)
	kvA    ggml.Matrix // (Rank + Rotated, Dim)
	kvNorm []float32   // (Rank)
	kvB    ggml.Matrix // (Heads·(Plain + ValueDim), Rank), unless absorbed
	kB, vB []ggml.Matrix
	// by head: (Rank, Plain) and (ValueDim, Rank), when absorbed
}

// loader reads tensors by name and remembers the first error.
type loader struct {
	m   *expert.Model
	err error
}

func (l *loader) has(name string) bool { _, ok := l.m.Tensor(name); return ok }

// matrix views a tensor; one of a single dimension is a matrix of one row.
func (l *loader) matrix(name string) ggml.Matrix {
	t, ok := l.m.Tensor(name)
	if !ok {
		l.fail(fmt.Errorf("trunk: tensor %s is missing", name))
		return ggml.Matrix{}
	}
	rows := 1
	for _, n := range t.Shape[1:] {
		rows *= n
	}
	return l.rows(t, 0, rows)
}

// maybe is matrix for a tensor that may be absent: the matrix is then empty.
func (l *loader) maybe(name string) ggml.Matrix {
	if !l.has(name) {
		return ggml.Matrix{}
	}
	return l.matrix(name)
}

// rows views n rows of a tensor from one on.
func (l *loader) rows(t expert.Tensor, from, n int) ggml.Matrix {
	row := t.Type.RowBytes(t.Shape[0])
	m, err := ggml.NewMatrix(t.Type, t.Shape[0], n, t.Data[from*row:(from+n)*row])
	if err != nil {
		l.fail(fmt.Errorf("trunk: tensor %s: %w", t.Name, err))
	}
	return m
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// stack views a tensor of three dimensions as so many matrices.
func (l *loader) stack(name string, n int) []ggml.Matrix {
	t, ok := l.m.Tensor(name)
	if !ok || len(t.Shape) < 2 {
		l.fail(fmt.Errorf("trunk: tensor %s is missing or no stack of matrices", name))
		return nil
	}
	out := make([]ggml.Matrix, n)
	for i := range out {
		out[i] = l.rows(t, i*t.Shape[1], t.Shape[1])
	}
	return out
}

func (l *loader) vector(name string) []float32 {
	v := l.maybeVector(name)
	if v == nil {
		l.fail(fmt.Errorf("trunk: tensor %s is missing", name))
	}
	return v
}

func (l *loader) maybeVector(name string) []float32 {
	t, ok := l.m.Tensor(name)
	if !ok {
		return nil
	}
	return t.Floats()
}

// load finds the trunk's tensors. Opening the model has checked which there
// must be, and that all have the right shapes.
func load(m *expert.Model) (weights, error) {
	l := loader{m: m}
	w := weights{
		embed:       l.matrix("token_embd.weight"),
		frequencies: l.maybeVector("rope_freqs.weight"),
		headNorm:    l.vector("output_norm.weight"),
		layers:      make([]layer, m.Layers()),
	}
	w.head = w.embed
	if l.has("output.weight") {
		w.head = l.matrix("output.weight")
	}
	for i := range w.layers {
		w.layers[i] = l.layer(i)
	}
	return w, l.err
}

func (l *loader) layer(i int) layer {
	name := func(part string) string { return fmt.Sprintf("blk.%d.%s", i, part) }
	w := layer{
		attnNorm: l.vector(name("attn_norm.weight")),
		qBias:    l.maybeVector(name("attn_q.bias")),
		kBias:    l.maybeVector(name("attn_k.bias")),
		vBias:    l.maybeVector(name("attn_v.bias")),
		qNorm:    l.maybeVector(name("attn_q_norm.weight")),
		kNorm:    l.maybeVector(name("attn_k_norm.weight")),
		sinks:    l.maybeVector(name("attn_sinks.weight")),
		out:      l.matrix(name("attn_output.weight")),
		outBias:  l.maybeVector(name("attn_output.bias")),

		gate:       l.maybe(name("ffn_gate_inp.weight")),
		gateBias:   l.maybeVector(name("ffn_gate_inp.bias")),
		sharedGate: l.maybe(name("ffn_gate_inp_shexp.weight")),
	}
	// One norm lies between attention and experts; it has two names.
	norm := "ffn_norm.weight"
	if !l.has(name(norm)) {
		norm = "post_attention_norm.weight"
	}
	w.ffnNorm = l.vector(name(norm))
	for _, ending := range []string{"", "_shexp"} {
		if l.has(name("ffn_gate" + ending + ".weight")) {
			w.dense = l.network(name, ending)
		}
	}
	switch {
	case l.m.Design().Attention.Latent != nil:
		w.latent = l.latent(name)
	case l.has(name("attn_qkv.weight")):
		l.joined(name, &w)
	default:
		w.q, w.k, w.v = l.matrix(name("attn_q.weight")), l.matrix(name("attn_k.weight")), l.matrix(name("attn_v.weight"))
	}
	return w
}

func (l *loader) network(name func(string) string, ending string) *ggml.FFN {
	f := &ggml.FFN{
		W1: l.matrix(name("ffn_gate" + ending + ".weight")),
		W2: l.matrix(name("ffn_down" + ending + ".weight")),
		W3: l.matrix(name("ffn_up" + ending + ".weight")),
	}
	if _, same := f.Activations(); !same && l.err == nil {
		l.fail(fmt.Errorf("trunk: tensors %s and %s take different activations", name("ffn_gate"+ending), name("ffn_up"+ending)))
	}
	return f
}

// joined cuts attention's matrices and biases out of the tensor that holds
// all three.
func (l *loader) joined(name func(string) string, w *layer) {
	t, _ := l.m.Tensor(name("attn_qkv.weight"))
	s := l.m.Shape()
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	w.q, w.k, w.v = l.rows(t, 0, q), l.rows(t, q, kv), l.rows(t, q+kv, kv)
	if b := l.maybeVector(name("attn_qkv.bias")); b != nil {
		w.qBias, w.kBias, w.vBias = b[:q], b[q:q+kv], b[q+kv:]
	}
}

func (l *loader) latent(name func(string) string) *latent {
	d := l.m.Design().Attention.Latent
	w := &latent{kvA: l.matrix(name("attn_kv_a_mqa.weight")), kvNorm: l.vector(name("attn_kv_a_norm.weight"))}
	if d.QRank > 0 {
		w.qA, w.qNorm, w.q = l.matrix(name("attn_q_a.weight")), l.vector(name("attn_q_a_norm.weight")), l.matrix(name("attn_q_b.weight"))
	} else {
		w.q = l.matrix(name("attn_q.weight"))
	}
	if d.Absorbed {
		heads := l.m.Shape().Heads
		w.kB, w.vB = l.stack(name("attn_k_b.weight"), heads), l.stack(name("attn_v_b.weight"), heads)
	} else {
		w.kvB = l.matrix(name("attn_kv_b.weight"))
	}
	return w
}

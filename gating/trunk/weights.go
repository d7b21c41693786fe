package trunk

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// weights of the trunk. Matrices are views of the model's mapping; the norms
// are small and copied to be aligned.
type weights struct {
	embed    ggml.Matrix // (Vocab, Dim)
	layers   []layer
	headNorm []float32   // (Dim)
	head     ggml.Matrix // (Vocab, Dim); embed again in models that tie them
}

// layer is one layer's dense part. Q is Heads·HeadDim, KV KVHeads·HeadDim.
type layer struct {
	attnNorm     []float32   // (Dim)
	q, k, v      ggml.Matrix // (Q, Dim), (KV, Dim), (KV, Dim)
	qNorm, kNorm []float32   // (HeadDim), for each head
	out          ggml.Matrix // (Dim, Q)
	ffnNorm      []float32   // (Dim)
	gate         ggml.Matrix // (Experts, Dim)
}

// loader reads tensors by name and remembers the first error.
type loader struct {
	m   *expert.Model
	err error
}

func (l *loader) matrix(name string) (out ggml.Matrix) {
	t, ok := l.m.Tensor(name)
	if l.err != nil {
		return out
	}
	if !ok || len(t.Shape) != 2 {
		l.err = fmt.Errorf("trunk: tensor %s is missing or no matrix", name)
		return out
	}
	if out, l.err = ggml.NewMatrix(t.Type, t.Shape[0], t.Shape[1], t.Data); l.err != nil {
		l.err = fmt.Errorf("trunk: tensor %s: %w", name, l.err)
	}
	return out
}

func (l *loader) vector(name string) []float32 {
	t, ok := l.m.Tensor(name)
	if l.err != nil {
		return nil
	}
	if !ok || len(t.Data)%4 != 0 {
		l.err = fmt.Errorf("trunk: tensor %s is missing or no vector", name)
		return nil
	}
	v := make([]float32, len(t.Data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return v
}

// load finds the trunk's tensors in a qwen3moe model. Opening the model has
// checked that they are there and have the right shapes.
func load(m *expert.Model) (weights, error) {
	l := loader{m: m}
	w := weights{
		embed:    l.matrix("token_embd.weight"),
		headNorm: l.vector("output_norm.weight"),
		layers:   make([]layer, m.Layers()),
	}
	w.head = w.embed
	if _, ok := m.Tensor("output.weight"); ok {
		w.head = l.matrix("output.weight")
	}
	for i := range w.layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		w.layers[i] = layer{
			attnNorm: l.vector(name("attn_norm")),
			q:        l.matrix(name("attn_q")),
			k:        l.matrix(name("attn_k")),
			v:        l.matrix(name("attn_v")),
			qNorm:    l.vector(name("attn_q_norm")),
			kNorm:    l.vector(name("attn_k_norm")),
			out:      l.matrix(name("attn_output")),
			ffnNorm:  l.vector(name("ffn_norm")),
			gate:     l.matrix(name("ffn_gate_inp")),
		}
	}
	return w, l.err
}

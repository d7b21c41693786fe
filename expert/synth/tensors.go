package synth

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// builder lists the tensors of a file.
type builder struct {
	*generator
	f        family
	m        mix
	residual float64 // of matrices that write to the residual stream
	out      []gguf.TensorSpec
}

// fan keeps the size of what rows of n values multiply.
func fan(n int) float64 { return 1 / math.Sqrt(float64(n)) }

// tensors lists the file's tensors. Rows of n values get weights of size
// 1/√n, so that a matrix keeps the size of what it multiplies; matrices that
// write to the residual stream get less, so that it stays small over all
// layers.
func (g *generator) tensors() []gguf.TensorSpec {
	s := g.c.Shape
	f, _ := familyOf(g.c.Family) // validated, as the mix
	m, _ := mixOf(g.c.Quant)
	b := &builder{generator: g, f: f, m: m, residual: fan(2 * s.Layers)}
	b.add(g.matrix("token_embd", m.most, 1, s.Dim, s.Vocab), b.norm("output_norm", s.Dim))
	if !f.tied {
		b.add(g.head("output", m.careful, b.headSize()*fan(s.Dim), s.Dim, s.Vocab))
	}
	if f.frequencies {
		b.add(b.norm("rope_freqs", s.HeadDim/2))
	}
	for l := range s.Layers + f.predicting {
		b.attention(l)
		b.rest(l)
		if l >= s.Layers {
			b.add(g.matrix(name(l, "nextn.eh_proj"), m.most, fan(2*s.Dim), 2*s.Dim, s.Dim),
				b.norm(name(l, "nextn.enorm"), s.Dim), b.norm(name(l, "nextn.hnorm"), s.Dim))
		}
	}
	return b.out
}

func name(l int, part string) string { return fmt.Sprintf("blk.%d.%s", l, part) }

func (b *builder) add(specs ...gguf.TensorSpec) { b.out = append(b.out, specs...) }

// headSize makes a probe's logits so different that rounding decides between
// no two of them.
func (b *builder) headSize() float64 {
	if b.c.Probe {
		return 6
	}
	return 1
}

// norm is a norm's weights: ones, or values about 1 in a probe.
func (b *builder) norm(n string, size int) gguf.TensorSpec {
	if b.c.Probe {
		return b.offset(n, 1, 0.25, size)
	}
	return b.ones(n, size)
}

// bias is a vector or stack of vectors, of type F32.
func (b *builder) bias(n string, shape ...int) {
	spec := b.normal(n, 0.3, shape...)
	spec.Name = n + ".bias"
	b.add(spec)
}

func (b *builder) matrixAt(l int, part string, t gguf.Type, sigma float64, shape ...int) {
	b.add(b.matrix(name(l, part), fit(t, shape[0]), sigma, shape...))
}

func (b *builder) attention(l int) {
	s, f := b.c.Shape, b.f
	b.add(b.norm(name(l, "attn_norm"), s.Dim))
	if f.latent {
		b.latent(l)
		return
	}
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	if f.qkv {
		b.matrixAt(l, "attn_qkv", b.m.most, fan(s.Dim), s.Dim, q+2*kv)
	} else {
		b.matrixAt(l, "attn_q", b.m.most, fan(s.Dim), s.Dim, q)
		b.matrixAt(l, "attn_k", b.m.most, fan(s.Dim), s.Dim, kv)
		b.matrixAt(l, "attn_v", b.m.careful, fan(s.Dim), s.Dim, kv)
	}
	if f.qkvBias {
		b.bias(name(l, "attn_q"), q)
		b.bias(name(l, "attn_k"), kv)
		b.bias(name(l, "attn_v"), kv)
	}
	b.matrixAt(l, "attn_output", b.m.most, fan(q)*b.residual, q, s.Dim)
	if f.outBias {
		b.bias(name(l, "attn_output"), s.Dim)
	}
	if f.headNorms {
		b.add(b.norm(name(l, "attn_q_norm"), s.HeadDim), b.norm(name(l, "attn_k_norm"), s.HeadDim))
	}
	if f.wholeNorms {
		b.add(b.norm(name(l, "attn_q_norm"), q), b.norm(name(l, "attn_k_norm"), kv))
	}
	if f.sinks {
		b.add(b.normal(name(l, "attn_sinks"), 1, s.Heads))
	}
}

func (b *builder) latent(l int) {
	s := b.c.Shape
	head := s.HeadDim + latentRotated
	if b.f.absorbed {
		b.matrixAt(l, "attn_q_a", b.m.most, fan(s.Dim), s.Dim, latentQRank)
		b.add(b.norm(name(l, "attn_q_a_norm"), latentQRank))
		b.matrixAt(l, "attn_q_b", b.m.most, fan(latentQRank), latentQRank, s.Heads*head)
	} else {
		b.matrixAt(l, "attn_q", b.m.most, fan(s.Dim), s.Dim, s.Heads*head)
	}
	b.matrixAt(l, "attn_kv_a_mqa", b.m.most, fan(s.Dim), s.Dim, latentRank+latentRotated)
	b.add(b.norm(name(l, "attn_kv_a_norm"), latentRank))
	if b.f.absorbed {
		// llama.cpp's CPU back end of 2026 cannot multiply quantised ones.
		t := b.m.most
		if t.BlockSize() > 1 {
			t = gguf.F32
		}
		b.matrixAt(l, "attn_k_b", t, fan(latentRank), s.HeadDim, latentRank, s.Heads)
		b.matrixAt(l, "attn_v_b", t, fan(latentRank), latentRank, s.HeadDim, s.Heads)
	} else {
		b.matrixAt(l, "attn_kv_b", b.m.most, fan(latentRank), latentRank, s.Heads*2*s.HeadDim)
	}
	b.matrixAt(l, "attn_output", b.m.most, fan(s.Heads*s.HeadDim)*b.residual, s.Heads*s.HeadDim, s.Dim)
}

// rest is what follows attention in a layer.
func (b *builder) rest(l int) {
	s, f := b.c.Shape, b.f
	if f.postNorm {
		b.add(b.norm(name(l, "post_attention_norm"), s.Dim))
	} else {
		b.add(b.norm(name(l, "ffn_norm"), s.Dim))
	}
	if f.dense || l < f.lead {
		b.network(l, "", b.denseWidth())
		return
	}
	gate := fan(s.Dim)
	if b.c.Probe {
		gate *= 3 // as for the head
	}
	b.add(b.normal(name(l, "ffn_gate_inp"), gate, s.Dim, s.Experts))
	if f.gateBias {
		b.bias(name(l, "ffn_gate_inp"), s.Experts)
	}
	if f.correction {
		b.bias(name(l, "exp_probs_b"), s.Experts)
	}
	b.experts(l)
	if f.expertBias {
		b.bias(name(l, "ffn_gate_exps"), s.FF, s.Experts)
		b.bias(name(l, "ffn_up_exps"), s.FF, s.Experts)
		b.bias(name(l, "ffn_down_exps"), s.Dim, s.Experts)
	}
	if f.shared {
		b.network(l, "_shexp", s.FF)
	}
	if f.sharedGate {
		b.add(b.normal(name(l, "ffn_gate_inp_shexp"), fan(s.Dim), s.Dim))
	}
}

// denseWidth is the width of the dense layers: that of all experts in use
// together, as in published models.
func (b *builder) denseWidth() int { return b.c.Shape.FF * max(b.c.Shape.TopK, 1) }

func (b *builder) network(l int, ending string, ff int) {
	dim := b.c.Shape.Dim
	b.matrixAt(l, "ffn_gate"+ending, b.m.most, fan(dim), dim, ff)
	b.matrixAt(l, "ffn_up"+ending, b.m.most, fan(dim), dim, ff)
	b.matrixAt(l, "ffn_down"+ending, b.m.careful, fan(ff)*b.residual, ff, dim)
}

// experts are those of a layer. Single matrices have the numbers of the stack
// that others keep.
func (b *builder) experts(l int) {
	s, m := b.c.Shape, b.m
	down := m.careful
	if m.experts == gguf.MXFP4 {
		down = gguf.MXFP4
	}
	switch {
	case b.f.single:
		for e := range s.Experts {
			b.add(b.slice(l, "gate", e, m.experts, fan(s.Dim), s.Dim, s.FF),
				b.slice(l, "down", e, down, fan(s.FF)*b.residual, s.FF, s.Dim),
				b.slice(l, "up", e, m.experts, fan(s.Dim), s.Dim, s.FF))
		}
		return
	case b.f.fused:
		b.matrixAt(l, "ffn_gate_up_exps", m.experts, fan(s.Dim), s.Dim, 2*s.FF, s.Experts)
	default:
		b.matrixAt(l, "ffn_gate_exps", m.experts, fan(s.Dim), s.Dim, s.FF, s.Experts)
		b.matrixAt(l, "ffn_up_exps", m.experts, fan(s.Dim), s.Dim, s.FF, s.Experts)
	}
	b.matrixAt(l, "ffn_down_exps", down, fan(s.FF)*b.residual, s.FF, s.Dim, s.Experts)
}

// slice is one matrix of a stack as a tensor of its own. The stack is made up
// to it, so this is for small models.
func (b *builder) slice(l int, part string, e int, t gguf.Type, sigma float64, in, out int) gguf.TensorSpec {
	t = fit(t, in)
	stack := b.matrix(name(l, "ffn_"+part+"_exps"), t, sigma, in, out, e+1)
	size := t.RowBytes(in) * out
	return gguf.TensorSpec{Name: name(l, fmt.Sprintf("ffn_%s.%d.weight", part, e)), Type: t, Shape: []int{in, out}, Data: func(w io.Writer) error {
		var whole bytes.Buffer
		if err := stack.Data(&whole); err != nil {
			return err
		}
		_, err := w.Write(whole.Bytes()[e*size:])
		return err
	}}
}

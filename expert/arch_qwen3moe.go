package expert

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

const archQwen3MoE = "qwen3moe"

// qwen3moeLayout: every layer sparse, grouped-query attention with a norm on
// each query and key head, rotary positions without scaling, softmax over all
// experts' scores with the kept ones renormalised, no shared expert. The head
// matrix output.weight may be absent; the embedding then serves as head.
func qwen3moeLayout(f *gguf.File) (layout, error) {
	s, err := qwen3moeShape(f)
	if err != nil {
		return layout{}, err
	}
	want := []wantTensor{
		{name: "token_embd.weight", shape: []int{s.Dim, s.Vocab}},
		{name: "output_norm.weight", kind: vector, shape: []int{s.Dim}},
		{name: "output.weight", shape: []int{s.Dim, s.Vocab}, optional: true},
	}
	for l := range s.Layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", l, part) }
		q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
		want = append(want,
			wantTensor{name: name("attn_norm"), kind: vector, shape: []int{s.Dim}},
			wantTensor{name: name("attn_q"), shape: []int{s.Dim, q}},
			wantTensor{name: name("attn_k"), shape: []int{s.Dim, kv}},
			wantTensor{name: name("attn_v"), shape: []int{s.Dim, kv}},
			wantTensor{name: name("attn_output"), shape: []int{q, s.Dim}},
			wantTensor{name: name("attn_q_norm"), kind: vector, shape: []int{s.HeadDim}},
			wantTensor{name: name("attn_k_norm"), kind: vector, shape: []int{s.HeadDim}},
			wantTensor{name: name("ffn_norm"), kind: vector, shape: []int{s.Dim}},
			wantTensor{name: name("ffn_gate_inp"), shape: []int{s.Dim, s.Experts}},
			wantTensor{name: w1Name(l), shape: []int{s.Dim, s.FF, s.Experts}},
			wantTensor{name: w2Name(l), shape: []int{s.FF, s.Dim, s.Experts}},
			wantTensor{name: w3Name(l), shape: []int{s.Dim, s.FF, s.Experts}},
		)
	}
	return layout{shape: s, tensors: want}, nil
}

func qwen3moeShape(f *gguf.File) (Shape, error) {
	k := &keys{f: f, prefix: archQwen3MoE + "."}
	s := Shape{Arch: archQwen3MoE}
	s.Layers = k.count("block_count", MaxLayers)
	s.Experts = k.count("expert_count", MaxExperts)
	s.TopK = k.count("expert_used_count", MaxExperts)
	s.Dim = k.count("embedding_length", MaxWidth)
	s.Context = k.count("context_length", MaxWidth)
	s.Heads = k.count("attention.head_count", MaxWidth)
	s.KVHeads = k.countOr("attention.head_count_kv", MaxWidth, s.Heads)
	s.NormEps = k.positive("attention.layer_norm_rms_epsilon")
	s.RopeBase = 10000 // llama.cpp's value for files that do not say
	if f.Has(k.prefix + "rope.freq_base") {
		s.RopeBase = k.positive("rope.freq_base")
	}
	if k.err != nil {
		return Shape{}, k.err
	}
	for l := range s.Layers {
		s.SparseLayers = append(s.SparseLayers, l)
	}
	if s.TopK > s.Experts {
		k.fail("key %sexpert_used_count is %d, but there are %d experts", k.prefix, s.TopK, s.Experts)
	}
	if s.Heads%s.KVHeads != 0 {
		k.fail("%d query heads cannot share %d key/value heads evenly", s.Heads, s.KVHeads)
	}
	s.HeadDim = k.countOr("attention.key_length", MaxWidth, s.Dim/s.Heads)
	if v := k.countOr("attention.value_length", MaxWidth, s.HeadDim); v != s.HeadDim {
		k.fail("value heads of %d beside key heads of %d are %w", v, s.HeadDim, ErrUnsupported)
	}
	if s.HeadDim == 0 || s.HeadDim%2 != 0 {
		k.fail("heads of %d values cannot be rotated in pairs", s.HeadDim)
	}
	if s.Heads > MaxWidth/max(s.HeadDim, 1) {
		k.fail("%d heads of %d values are too many", s.Heads, s.HeadDim)
	}
	s.FF = k.countOr("expert_feed_forward_length", MaxWidth, 0)
	if s.FF == 0 && k.err == nil {
		s.FF = k.count("feed_forward_length", MaxWidth) / s.TopK // llama.cpp's rule for old files
	}
	k.checkRope(s.HeadDim)
	s.Vocab = k.vocab()
	return s, k.err
}

// checkRope refuses positions that are stretched or cover part of a head.
func (k *keys) checkRope(headDim int) {
	if n := k.countOr("rope.dimension_count", MaxWidth, headDim); n != headDim {
		k.fail("rotary positions over %d of %d values of a head are %w", n, headDim, ErrUnsupported)
	}
	if t, ok := k.f.String(k.prefix + "rope.scaling.type"); ok && t != "none" {
		k.fail("rotary positions scaled by %s are %w", plain(t), ErrUnsupported)
	}
	for _, name := range []string{"rope.scaling.factor", "rope.scale_linear"} {
		if x, ok := k.f.Float(k.prefix + name); ok && x != 1 && x != 0 {
			k.fail("rotary positions scaled by %g are %w", x, ErrUnsupported)
		}
	}
}

// vocab takes the number of tokens from the list of tokens, as llama.cpp does.
func (k *keys) vocab() int {
	const list = "tokenizer.ggml.tokens"
	tokens, ok := k.f.Strings(list)
	if !ok || len(tokens) == 0 || len(tokens) > MaxWidth {
		k.fail("key %s is missing or no list of tokens", list)
		return 0
	}
	if n := k.countOr("vocab_size", MaxWidth, len(tokens)); n != len(tokens) {
		k.fail("key %svocab_size is %d, but %s has %d", k.prefix, n, list, len(tokens))
	}
	return len(tokens)
}

// The stacked matrices of a layer's experts: W1 (Experts, FF, Dim), W2
// (Experts, Dim, FF), W3 (Experts, FF, Dim).
func w1Name(layer int) string { return fmt.Sprintf("blk.%d.ffn_gate_exps.weight", layer) }
func w2Name(layer int) string { return fmt.Sprintf("blk.%d.ffn_down_exps.weight", layer) }
func w3Name(layer int) string { return fmt.Sprintf("blk.%d.ffn_up_exps.weight", layer) }

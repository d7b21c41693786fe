package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archQwen2MoE = "qwen2moe"

// qwen2moeLayout: every layer sparse, biases on queries, keys and values,
// softmax over all experts' scores as they are, and a shared expert that each
// row weighs by the sigmoid of a score of its own.
func qwen2moeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archQwen2MoE + "."}
	s := k.shape(archQwen2MoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := k.countOr("expert_shared_feed_forward_length", MaxWidth, 0)
	if shared == 0 {
		shared = k.count("feed_forward_length", MaxWidth)
	}
	d := k.design(s, Halves)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.experts(l)
		t.network(l, "_shexp", shared)
		t.matrix(block(l, "ffn_gate_inp_shexp.weight"), s.Dim, 1)
	}
	return layout{s, d, t.want}, nil
}

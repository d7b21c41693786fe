package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archQwen3MoE = "qwen3moe"

// qwen3moeLayout: every layer sparse, a norm on each query and key head,
// softmax over all experts' scores with the kept ones renormalised, no shared
// expert.
func qwen3moeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archQwen3MoE + "."}
	s := k.shape(archQwen3MoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	d := k.design(s, Halves)
	d.Gate.Normalise = true
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		t.headNorms(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.experts(l)
	}
	return layout{s, d, t.want}, nil
}

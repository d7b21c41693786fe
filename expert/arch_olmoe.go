package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archOLMoE = "olmoe"

// olmoeLayout: every layer sparse, a norm over all query heads together and
// one over all key heads, softmax over all experts' scores as they are.
func olmoeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archOLMoE + "."}
	s := k.shape(archOLMoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, 1)
	d := k.design(s, Halves)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		t.wholeNorms(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.experts(l)
	}
	return layout{s, d, t.want}, nil
}

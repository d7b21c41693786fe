package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archGLM4MoE = "glm4moe"

// glm4moeLayout: GLM-4.5 to 4.7. The first layers are dense, part of each head
// is rotated, query and key heads may have norms; experts are scored by
// sigmoid, chosen with a correction, and a shared expert is always added. The
// last layers predict further tokens and are not used.
func glm4moeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archGLM4MoE + "."}
	s := k.shape(archGLM4MoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := s.FF * k.numberOr("expert_shared_count", MaxExperts, 0)
	k.leading(&s)
	k.predicting(&s)
	dense := k.denseWidth(s)
	d := k.design(s, Halves)
	k.gate(&d.Gate, s, Sigmoid)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	t.ignore(s.Layers)
	for l := range s.Layers {
		t.attention(l)
		t.headNorms(l)
		t.want[len(t.want)-2].optional = true
		t.may()
		t.vector(block(l, "post_attention_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

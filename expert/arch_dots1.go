package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archDots1 = "dots1"

// dots1Layout: rednote's dots.llm1. A norm on each query and key head, the
// first layers dense, experts scored by sigmoid and chosen with a correction, a
// shared expert always added.
func dots1Layout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archDots1 + "."}
	s := k.shape(archDots1)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := s.FF * k.numberOr("expert_shared_count", MaxExperts, 0)
	k.leading(&s)
	dense := k.denseWidth(s)
	d := k.design(s, Halves)
	k.gate(&d.Gate, s, Softmax)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		t.headNorms(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

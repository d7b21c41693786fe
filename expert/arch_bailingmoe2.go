package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archBailingMoE2 = "bailingmoe2"

// bailingmoe2Layout: Ling 2.0 and Ring 2.0. Queries, keys and values come from
// one matrix, with a norm on each query and key head; the first layers are
// dense; experts are scored by sigmoid and chosen with a correction within the
// best groups; a shared expert is always added. The last layers predict further
// tokens and are not used.
func bailingmoe2Layout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archBailingMoE2 + "."}
	s := k.shape(archBailingMoE2)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := k.countOr("expert_shared_feed_forward_length", MaxWidth, s.FF) * k.numberOr("expert_shared_count", MaxExperts, 0)
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
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

// sharing is the plan of several architectures: the usual attention; the first
// layers dense, in the others experts, and shared ones that are always added.
type sharing struct {
	arch      string
	pairs     Pairs
	headNorms bool // a norm on each query and key head
}

func (a sharing) layout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: a.arch + "."}
	s := k.shape(a.arch)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := s.FF * k.numberOr("expert_shared_count", MaxExperts, 0)
	k.leading(&s)
	dense := k.denseWidth(s)
	d := k.design(s, a.pairs)
	k.gate(&d.Gate, s, Softmax)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		if a.headNorms {
			t.headNorms(l)
		}
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archHunyuanMoE = "hunyuan-moe"

// hunyuanmoeLayout: Tencent's Hunyuan A13B. Every layer sparse, a norm on each
// query and key head after the rotation, softmax over all experts' scores with
// the kept ones renormalised, a shared expert always added.
func hunyuanmoeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archHunyuanMoE + "."}
	s := k.shape(archHunyuanMoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	s.FF = k.count("feed_forward_length", MaxWidth) // as llama.cpp; the key for experts says the same
	shared := k.countOr("expert_shared_feed_forward_length", MaxWidth, s.FF)
	d := k.design(s, Halves)
	d.Attention.NormAfterRope = true
	d.Gate.Normalise = true
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	t.frequencies(d.Rope)
	for l := range s.Layers {
		t.attention(l)
		t.headNorms(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.experts(l)
		t.network(l, "_shexp", shared)
	}
	return layout{s, d, t.want}, nil
}

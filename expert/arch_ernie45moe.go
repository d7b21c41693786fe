package expert

import (
	"slices"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

const archErnie45MoE = "ernie4_5-moe"

// ernie45moeLayout: Baidu's ERNIE 4.5. The first layers are dense, and of the
// others every so many-th is sparse; softmax over all experts' scores, chosen
// with a correction and renormalised; a shared expert is always added.
func ernie45moeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archErnie45MoE + "."}
	s := k.shape(archErnie45MoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, s.TopK)
	shared := k.numberOr("expert_shared_feed_forward_length", MaxWidth, 0)
	k.leading(&s)
	step := k.countOr("interleave_moe_layer_step", MaxLayers, 1)
	s.SparseLayers = slices.DeleteFunc(s.SparseLayers, func(l int) bool { return (l+1)%max(step, 1) != 0 })
	if len(s.SparseLayers) == 0 && k.err == nil {
		k.fail("key %sinterleave_moe_layer_step is %d: no layer has experts", k.prefix, step)
	}
	dense := k.denseWidth(s)
	d := k.design(s, Neighbours)
	d.Gate.Normalise, d.Gate.Scale = true, 1
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.denseOrShared(l, dense, shared)
	}
	return layout{s, d, t.want}, nil
}

package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archGraniteMoE = "granitemoe"

// granitemoeLayout: IBM's Granite 3 MoE. As Mixtral, with scales on the
// embedding, on what each part of a layer adds, on attention and on the
// logits; newer ones have a shared expert.
func granitemoeLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archGraniteMoE + "."}
	s := k.shape(archGraniteMoE)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, 1)
	shared := k.numberOr("expert_shared_feed_forward_length", MaxWidth, 0)
	d := k.design(s, Neighbours)
	d.Gate.Normalise = true
	d.Attention.Scale = k.positiveOr("attention.scale", d.Attention.Scale)
	d.EmbedScale = k.positiveOr("embedding_scale", 1)
	d.ResidualScale = k.positiveOr("residual_scale", 1)
	d.LogitScale = 1 / k.positive("logit_scale")
	if !k.flagOr("rope.scaling.finetuned", true) {
		k.fail("granite without positions is %w", ErrUnsupported)
	}
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	t.frequencies(d.Rope)
	for l := range s.Layers {
		t.attention(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.experts(l)
		if shared > 0 {
			t.network(l, "_shexp", shared)
		}
	}
	return layout{s, d, t.want}, nil
}

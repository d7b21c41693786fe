package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archLlama = "llama"

// llamaLayout: Mixtral, and the dense Llama and Mistral models. Values of a
// head are rotated in neighbouring pairs, at frequencies that the tensor
// rope_freqs may stretch; softmax over all experts' scores with the kept ones
// renormalised.
func llamaLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archLlama + "."}
	s := k.shape(archLlama)
	k.equalHeads(s)
	k.widthOf(&s, 1)
	d := k.design(s, Neighbours)
	d.Attention.Scale = k.positiveOr("attention.scale", d.Attention.Scale)
	d.Gate.Normalise = true
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	t.frequencies(d.Rope)
	for l := range s.Layers {
		t.attention(l)
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		if t.sparse(l) {
			t.experts(l)
		} else {
			t.network(l, "", s.FF)
		}
	}
	return layout{s, d, t.want}, nil
}

package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archMiniMaxM2 = "minimax-m2"

// minimaxm2Layout: MiniMax M2. Every layer sparse, norms over all query heads
// and over all key heads together, part of each head rotated; experts scored by
// sigmoid, chosen with a correction and renormalised; no shared expert.
func minimaxm2Layout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archMiniMaxM2 + "."}
	s := k.shape(archMiniMaxM2)
	k.sparseOnly(s)
	k.equalHeads(s)
	k.widthOf(&s, 1)
	d := k.design(s, Halves)
	k.gate(&d.Gate, s, Sigmoid)
	d.Gate.Normalise = true
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
		t.correction(l)
	}
	return layout{s, d, t.want}, nil
}

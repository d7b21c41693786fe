package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archGPTOSS = "gpt-oss"

// gptossLayout: OpenAI's open models. Every other layer, the first among them,
// sees a window of positions only; each head has a sink that takes part of its
// attention; everything has biases; the kept scores alone go through the
// softmax; the experts' activation is clamped; positions are stretched by YaRN.
func gptossLayout(f *gguf.File) (layout, error) {
	k := &keys{f: f, prefix: archGPTOSS + "."}
	s := k.shape(archGPTOSS)
	k.sparseOnly(s)
	k.equalHeads(s)
	if s.FF == 0 {
		s.FF = k.count("expert_feed_forward_length", MaxWidth)
	}
	window := k.count("attention.sliding_window", MaxWidth)
	d := k.design(s, Halves)
	d.Gate.Score = SoftmaxKept
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	d.Attention.Windows = make([]int, s.Layers)
	for l := range s.Layers {
		if l%2 == 0 {
			d.Attention.Windows[l] = window
		}
		t.attention(l)
		t.vector(block(l, "attn_sinks.weight"), s.Heads)
		t.vector(block(l, "post_attention_norm.weight"), s.Dim)
		t.experts(l)
		t.expertBiases(l)
	}
	return layout{s, d, t.want}, nil
}

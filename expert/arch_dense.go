package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const (
	archQwen2 = "qwen2"
	archQwen3 = "qwen3"
)

// qwen2Layout: dense, with biases on queries, keys and values.
func qwen2Layout(f *gguf.File) (layout, error) { return denseLayout(f, archQwen2, false) }

// qwen3Layout: dense, with a norm on each query and key head.
func qwen3Layout(f *gguf.File) (layout, error) { return denseLayout(f, archQwen3, true) }

func denseLayout(f *gguf.File, arch string, headNorms bool) (layout, error) {
	k := &keys{f: f, prefix: arch + "."}
	s := k.shape(arch)
	k.equalHeads(s)
	if s.Experts > 0 {
		k.fail("experts in architecture %s are %w", arch, ErrUnsupported)
	}
	d := k.design(s, Halves)
	if k.err != nil {
		return layout{}, k.err
	}
	t := &tensors{f: f, s: s}
	t.ends()
	for l := range s.Layers {
		t.attention(l)
		if headNorms {
			t.headNorms(l)
		}
		t.vector(block(l, "ffn_norm.weight"), s.Dim)
		t.network(l, "", s.FF)
	}
	return layout{s, d, t.want}, nil
}

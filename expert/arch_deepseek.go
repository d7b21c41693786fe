package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archDeepSeek = "deepseek"

// deepseekLayout: the first DeepSeekMoE, 16B. The usual attention, the first
// layer dense, softmax over all experts' scores as they are, shared experts
// always added.
func deepseekLayout(f *gguf.File) (layout, error) {
	return sharing{arch: archDeepSeek, pairs: Neighbours}.layout(f)
}

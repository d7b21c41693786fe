package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archBailingMoE = "bailingmoe"

// bailingmoeLayout: Ling-lite and Ling-plus, the first ones. Softmax over all
// experts' scores, renormalised if the file says so, shared experts always
// added.
func bailingmoeLayout(f *gguf.File) (layout, error) {
	return sharing{arch: archBailingMoE, pairs: Neighbours}.layout(f)
}

package expert

import "github.com/moeswarm/moeswarm/internal/gguf"

const archDots1 = "dots1"

// dots1Layout: rednote's dots.llm1. A norm on each query and key head, the
// first layers dense, experts scored by sigmoid and chosen with a correction, a
// shared expert always added.
func dots1Layout(f *gguf.File) (layout, error) {
	return sharing{arch: archDots1, pairs: Halves, headNorms: true}.layout(f)
}

package expert

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Limits on a model's shape. They keep (layer, expert) within an [ID] and a
// manifest within some megabytes; the largest published models have about 100
// layers and 512 experts.
const (
	MaxLayers  = 512
	MaxExperts = 1024
	// MaxWidth bounds every other length: vocabularies reach 262,144,
	// contexts ten million.
	MaxWidth = 1 << 26
)

// Errors of [OpenModel] and [NewModel] about files that are good GGUF but
// nothing we can share out.
var (
	// ErrUnsupported: the architecture, a tensor type or an option of the
	// file is one we cannot compute.
	ErrUnsupported = errors.New("not supported")
	// ErrDense: the model has no experts.
	ErrDense = errors.New("this is a dense model: no experts to share out")
)

// Shape says how large a model is, and what else its computation depends on.
type Shape struct {
	Arch         string // as the file names it, such as "qwen3moe"
	Layers       int
	SparseLayers []int // layers that have experts, ascending
	Experts      int   // experts of each sparse layer
	TopK         int   // experts in use per token row
	Dim          int   // values per row of a token batch
	FF           int   // rows of one expert's W1 and W3
	Vocab        int   // rows of the embedding
	Context      int   // positions the model was trained for

	Heads, KVHeads, HeadDim int     // attention; HeadDim is even
	RopeBase                float32 // of the rotary position embedding
	NormEps                 float32 // of every RMS norm
}

// layout is what an architecture makes of a file's metadata: the shape, how it
// computes, and every tensor the file must and may have.
type layout struct {
	shape   Shape
	design  Design
	tensors []wantTensor
}

// architectures are those we compute, by their name in files. A new one is a
// file arch_NAME.go and a line here.
func architectures() map[string]func(*gguf.File) (layout, error) {
	return map[string]func(*gguf.File) (layout, error){
		archBailingMoE:  bailingmoeLayout,
		archBailingMoE2: bailingmoe2Layout,
		archDeepSeek:    deepseekLayout,
		archDeepSeek2:   deepseek2Layout,
		archDots1:       dots1Layout,
		archErnie45MoE:  ernie45moeLayout,
		archHunyuanMoE:  hunyuanmoeLayout,
		archMiniMaxM2:   minimaxm2Layout,
		archGLM4MoE:     glm4moeLayout,
		archGPTOSS:      gptossLayout,
		archGraniteMoE:  granitemoeLayout,
		archLlama:       llamaLayout,
		archOLMoE:       olmoeLayout,
		archQwen2:       qwen2Layout,
		archQwen2MoE:    qwen2moeLayout,
		archQwen3:       qwen3Layout,
		archQwen3MoE:    qwen3moeLayout,
	}
}

// Architectures lists the names of the architectures that can be opened.
func Architectures() []string { return slices.Sorted(maps.Keys(architectures())) }

// layoutOf picks the architecture. Models without experts are accepted when
// dense is set.
func layoutOf(f *gguf.File, dense bool) (layout, error) {
	arch, ok := f.String("general.architecture")
	if !ok {
		return layout{}, errors.New("key general.architecture is missing: this is no language model")
	}
	if n, ok := f.Uint(arch + ".expert_count"); !dense && (ok && n == 0 || !f.Has(arch+".expert_count")) {
		return layout{}, ErrDense
	}
	read := architectures()[arch]
	if read == nil {
		return layout{}, fmt.Errorf("architecture %s is %w yet; supported: %s", plain(arch), ErrUnsupported, strings.Join(Architectures(), ", "))
	}
	return read(f)
}

// Multiplies reports whether ggml's CPU kernels multiply matrices of the type.
func Multiplies(t gguf.Type) bool {
	switch t {
	case gguf.F32, gguf.F16, gguf.BF16,
		gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0,
		gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K,
		gguf.IQ1S, gguf.IQ1M, gguf.IQ2XXS, gguf.IQ2XS, gguf.IQ2S, gguf.IQ3XXS, gguf.IQ3S,
		gguf.IQ4NL, gguf.IQ4XS, gguf.TQ1_0, gguf.TQ2_0, gguf.MXFP4:
		return true
	}
	return false
}

// plain renders text from a file for an error: quoted and cut unless it is a
// short plain word, so that the error stays one line.
func plain(s string) string {
	q := strconv.QuoteToASCII(s)
	if len(s) <= 80 && len(s) > 0 && q == `"`+s+`"` {
		return s
	}
	return fmt.Sprintf("%.80q", s)
}

// whole is plain for the names of our own user, which are never cut.
func whole(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

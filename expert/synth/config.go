package synth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Config says which model to write.
type Config struct {
	Family string       // one of [Families]; empty: qwen3moe
	Shape  expert.Shape // every field is used but Arch and SparseLayers, which follow from the family
	Quant  string       // one of [Quants]
	Seed   uint64
	// Probe makes a model to compare programs by: norms are no ones, and
	// scores and logits so far apart that rounding decides nothing.
	Probe bool
}

// Names lists the shapes that [Named] knows.
func Names() []string {
	return []string{"tiny", "olmoe", "lumabri", "qwen3-30b-a3b", "mixtral-8x7b", "qwen1.5-moe-a2.7b", "granite-3-3b-a800m", "gpt-oss-20b", "deepseek2-64", "glm-4.5-air",
		"deepseek-moe-16b", "ling-lite", "dots.llm1", "ling-mini-2.0", "ernie-4.5-21b-a3b", "hunyuan-a13b", "minimax-m2"}
}

// Named returns the config of a named shape, with seed 1.
func Named(name string) (Config, error) {
	c := Config{Quant: "Q4_K_M", Seed: 1}
	switch name {
	case "tiny": // for tests: as small as K-quants allow, under 2 MB
		c.Shape = expert.Shape{Layers: 2, Experts: 8, TopK: 2, Dim: 256, FF: 256, Vocab: 300, Context: 1024,
			Heads: 4, KVHeads: 2, HeadDim: 64}
	case "olmoe": // OLMoE-1B-7B's sizes
		c.Family = "olmoe"
		c.Shape = expert.Shape{Layers: 16, Experts: 64, TopK: 8, Dim: 2048, FF: 1024, Vocab: 50304, Context: 4096,
			Heads: 16, KVHeads: 16, HeadDim: 128}
	case "lumabri": // olmoe with a quarter of the experts, in 8 bits
		c.Shape = expert.Shape{Layers: 16, Experts: 16, TopK: 8, Dim: 2048, FF: 1024, Vocab: 50304, Context: 4096,
			Heads: 16, KVHeads: 16, HeadDim: 128}
		c.Quant = "Q8_0"
	case "qwen3-30b-a3b":
		c.Shape = expert.Shape{Layers: 48, Experts: 128, TopK: 8, Dim: 2048, FF: 768, Vocab: 151936, Context: 32768,
			Heads: 32, KVHeads: 4, HeadDim: 128}
	case "mixtral-8x7b":
		c.Family = "llama"
		c.Shape = expert.Shape{Layers: 32, Experts: 8, TopK: 2, Dim: 4096, FF: 14336, Vocab: 32000, Context: 32768,
			Heads: 32, KVHeads: 8, HeadDim: 128}
	case "qwen1.5-moe-a2.7b": // its experts are no whole blocks of K-quants wide
		c.Family, c.Quant = "qwen2moe", "Q8_0"
		c.Shape = expert.Shape{Layers: 24, Experts: 60, TopK: 4, Dim: 2048, FF: 1408, Vocab: 151936, Context: 8192,
			Heads: 16, KVHeads: 16, HeadDim: 128}
	case "granite-3-3b-a800m":
		c.Family = "granitemoe"
		c.Shape = expert.Shape{Layers: 32, Experts: 40, TopK: 8, Dim: 1536, FF: 512, Vocab: 49155, Context: 4096,
			Heads: 24, KVHeads: 8, HeadDim: 64}
	case "gpt-oss-20b":
		c.Family, c.Quant = "gpt-oss", "MXFP4_MOE"
		c.Shape = expert.Shape{Layers: 24, Experts: 32, TopK: 4, Dim: 2880, FF: 2880, Vocab: 201088, Context: 131072,
			Heads: 64, KVHeads: 8, HeadDim: 64}
	case "deepseek2-64": // DeepSeek V2 Lite's sizes, nearly, with V3's compressed queries and groups
		c.Family = "deepseek2"
		c.Shape = expert.Shape{Layers: 27, Experts: 64, TopK: 6, Dim: 2048, FF: 1536, Vocab: 102400, Context: 32768,
			Heads: 16, KVHeads: 16, HeadDim: 128}
	case "glm-4.5-air":
		c.Family, c.Quant = "glm4moe", "Q8_0"
		c.Shape = expert.Shape{Layers: 46, Experts: 128, TopK: 8, Dim: 4096, FF: 1408, Vocab: 151552, Context: 131072,
			Heads: 96, KVHeads: 8, HeadDim: 128}
	case "deepseek-moe-16b":
		c.Family, c.Quant = "deepseek", "Q8_0"
		c.Shape = expert.Shape{Layers: 28, Experts: 64, TopK: 6, Dim: 2048, FF: 1408, Vocab: 102400, Context: 4096,
			Heads: 16, KVHeads: 16, HeadDim: 128}
	case "ling-lite":
		c.Family, c.Quant = "bailingmoe", "Q8_0"
		c.Shape = expert.Shape{Layers: 28, Experts: 64, TopK: 6, Dim: 2048, FF: 1408, Vocab: 126464, Context: 16384,
			Heads: 16, KVHeads: 4, HeadDim: 128}
	case "dots.llm1":
		c.Family = "dots1"
		c.Shape = expert.Shape{Layers: 62, Experts: 128, TopK: 6, Dim: 4096, FF: 1408, Vocab: 152064, Context: 32768,
			Heads: 32, KVHeads: 32, HeadDim: 128}
		c.Quant = "Q8_0"
	case "ling-mini-2.0":
		c.Family = "bailingmoe2"
		c.Shape = expert.Shape{Layers: 20, Experts: 256, TopK: 8, Dim: 2048, FF: 512, Vocab: 157184, Context: 32768,
			Heads: 16, KVHeads: 4, HeadDim: 128}
	case "ernie-4.5-21b-a3b":
		c.Family = "ernie4_5-moe"
		c.Shape = expert.Shape{Layers: 28, Experts: 64, TopK: 6, Dim: 2560, FF: 1536, Vocab: 103424, Context: 131072,
			Heads: 20, KVHeads: 4, HeadDim: 128}
	case "hunyuan-a13b":
		c.Family = "hunyuan-moe"
		c.Shape = expert.Shape{Layers: 32, Experts: 64, TopK: 8, Dim: 4096, FF: 3072, Vocab: 128167, Context: 262144,
			Heads: 32, KVHeads: 8, HeadDim: 128}
	case "minimax-m2":
		c.Family = "minimax-m2"
		c.Shape = expert.Shape{Layers: 62, Experts: 256, TopK: 8, Dim: 3072, FF: 1536, Vocab: 200064, Context: 196608,
			Heads: 48, KVHeads: 8, HeadDim: 128}
	default:
		return Config{}, fmt.Errorf("synthetic shape %.40q is unknown; there are %s", name, strings.Join(Names(), ", "))
	}
	c.Shape.RopeBase, c.Shape.NormEps = 1e6, 1e-6
	return c, nil
}

// Cut returns the config with the first layers only.
func (c Config) Cut(layers int) (Config, error) {
	if layers < 1 || layers > c.Shape.Layers {
		return Config{}, fmt.Errorf("%d layers: want 1 to %d", layers, c.Shape.Layers)
	}
	c.Shape.Layers = layers
	return c, nil
}

// Thin returns the config with the first experts of each layer and the first
// tokens only; 0 leaves as many as there are. What a row computes stays as
// large, the file becomes small.
func (c Config) Thin(experts, vocab int) (Config, error) {
	if experts != 0 && (experts < c.Shape.TopK || experts > c.Shape.Experts) {
		return Config{}, fmt.Errorf("%d experts: want %d to %d", experts, c.Shape.TopK, c.Shape.Experts)
	}
	if vocab != 0 && (vocab < minVocab || vocab > c.Shape.Vocab) {
		return Config{}, fmt.Errorf("a vocabulary of %d: want %d to %d", vocab, minVocab, c.Shape.Vocab)
	}
	c.Shape.Experts = cmp.Or(experts, c.Shape.Experts)
	c.Shape.Vocab = cmp.Or(vocab, c.Shape.Vocab)
	return c, nil
}

// Types lists the types of matrices that can be written: all that ggml's CPU
// kernels multiply.
func Types() []gguf.Type {
	return []gguf.Type{
		gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0,
		gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K,
		gguf.IQ1S, gguf.IQ1M, gguf.IQ2XXS, gguf.IQ2XS, gguf.IQ2S, gguf.IQ3XXS, gguf.IQ3S, gguf.IQ4NL, gguf.IQ4XS,
		gguf.TQ1_0, gguf.TQ2_0, gguf.MXFP4,
	}
}

// Quants lists the known quantisations: each type by itself, and the mixtures
// that people download.
func Quants() []string {
	var names []string
	for _, t := range Types() {
		names = append(names, t.String())
	}
	return append(names, "Q4_K_M", "MXFP4_MOE")
}

// mix is how a quantisation stores the matrices. Norms and the matrices that
// score experts are F32 always.
type mix struct {
	most    gguf.Type // all matrices but the next ones
	careful gguf.Type // output, attention's v and the experts' W2
	experts gguf.Type // the experts' W1 and W3
}

func mixOf(quant string) (mix, error) {
	switch quant {
	case "Q4_K_M":
		return mix{gguf.Q4_K, gguf.Q6_K, gguf.Q4_K}, nil
	case "MXFP4_MOE": // gpt-oss's; W2 is MXFP4 there too
		return mix{gguf.Q8_0, gguf.Q8_0, gguf.MXFP4}, nil
	}
	for _, t := range Types() {
		if t.String() == quant {
			return mix{t, t, t}, nil
		}
	}
	return mix{}, fmt.Errorf("quantisation %.40q is unknown; there are %s", quant, strings.Join(Quants(), ", "))
}

// fileTypes are llama.cpp's numbers for the mixtures that file names stand
// for; others are near enough to the type's own.
func fileType(quant string) uint32 {
	n, ok := map[string]uint32{"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K": 12,
		"Q4_K": 15, "Q4_K_M": 15, "Q5_K": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25,
		"IQ3_S": 26, "IQ2_S": 28, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38, "MXFP4_MOE": 38}[quant]
	if !ok {
		return 1024 // guessed
	}
	return n
}

// fit is t if rows of n values can be of that type, else the next best, as
// llama.cpp's quantiser chooses for odd rows.
func fit(t gguf.Type, n int) gguf.Type {
	for _, t := range []gguf.Type{t, gguf.Q8_0, gguf.F16} {
		if n%t.BlockSize() == 0 {
			return t
		}
	}
	return gguf.F32
}

// validate reports a shape that the file or its tokenizer cannot have.
func (c Config) validate() error {
	s := c.Shape
	for _, n := range []int{s.Layers, s.Experts, s.TopK, s.Dim, s.FF, s.Context, s.Heads, s.KVHeads, s.HeadDim} {
		if n < 1 {
			return errors.New("every length must be at least 1")
		}
	}
	if s.Layers > expert.MaxLayers || s.Experts > expert.MaxExperts || s.TopK > s.Experts {
		return fmt.Errorf("%d layers of %d experts, %d in use: out of range", s.Layers, s.Experts, s.TopK)
	}
	if s.Vocab < minVocab {
		return fmt.Errorf("a vocabulary of %d: want at least %d", s.Vocab, minVocab)
	}
	m, err := mixOf(c.Quant)
	if err != nil {
		return err
	}
	if _, err := familyOf(c.Family); err != nil {
		return err
	}
	rows := []int{s.Dim, s.FF, s.Heads * s.HeadDim}
	for _, t := range []gguf.Type{m.most, m.careful, m.experts} {
		if i := slices.IndexFunc(rows, func(n int) bool { return n%t.BlockSize() != 0 }); i >= 0 {
			return fmt.Errorf("rows of %d values: %v needs a multiple of %d", rows[i], t, t.BlockSize())
		}
	}
	return nil
}

package synth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Config says which model to write.
type Config struct {
	Shape expert.Shape // every field is used but Arch and SparseLayers: the file is qwen3moe, all layers sparse
	Quant string       // one of [Quants]
	Seed  uint64
}

// Names lists the shapes that [Named] knows.
func Names() []string { return []string{"tiny", "olmoe", "lumabri", "qwen3-30b-a3b"} }

// Named returns the config of a named shape, with seed 1.
func Named(name string) (Config, error) {
	c := Config{Quant: "Q4_K_M", Seed: 1}
	switch name {
	case "tiny": // for tests: as small as K-quants allow, under 2 MB
		c.Shape = expert.Shape{Layers: 2, Experts: 8, TopK: 2, Dim: 256, FF: 256, Vocab: 300, Context: 1024,
			Heads: 4, KVHeads: 2, HeadDim: 64}
	case "olmoe": // OLMoE-1B-7B's sizes
		c.Shape = expert.Shape{Layers: 16, Experts: 64, TopK: 8, Dim: 2048, FF: 1024, Vocab: 50304, Context: 4096,
			Heads: 16, KVHeads: 16, HeadDim: 128}
	case "lumabri": // olmoe with a quarter of the experts, in 8 bits
		c.Shape = expert.Shape{Layers: 16, Experts: 16, TopK: 8, Dim: 2048, FF: 1024, Vocab: 50304, Context: 4096,
			Heads: 16, KVHeads: 16, HeadDim: 128}
		c.Quant = "Q8_0"
	case "qwen3-30b-a3b":
		c.Shape = expert.Shape{Layers: 48, Experts: 128, TopK: 8, Dim: 2048, FF: 768, Vocab: 151936, Context: 32768,
			Heads: 32, KVHeads: 4, HeadDim: 128}
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

// Quants lists the known quantisations.
func Quants() []string { return []string{"F32", "F16", "BF16", "Q4_0", "Q8_0", "Q4_K_M"} }

// mix is how a quantisation stores the matrices. Norms and the matrices that
// score experts are F32 always.
type mix struct {
	fileType uint32    // llama.cpp's number for it
	most     gguf.Type // all matrices but the next ones
	careful  gguf.Type // output, attention's v and the experts' W2
}

func mixOf(quant string) (mix, error) {
	switch quant {
	case "F32":
		return mix{0, gguf.F32, gguf.F32}, nil
	case "F16":
		return mix{1, gguf.F16, gguf.F16}, nil
	case "BF16":
		return mix{32, gguf.BF16, gguf.BF16}, nil
	case "Q4_0":
		return mix{2, gguf.Q4_0, gguf.Q4_0}, nil
	case "Q8_0":
		return mix{7, gguf.Q8_0, gguf.Q8_0}, nil
	case "Q4_K_M":
		return mix{15, gguf.Q4_K, gguf.Q6_K}, nil
	}
	return mix{}, fmt.Errorf("quantisation %.40q is unknown; there are %s", quant, strings.Join(Quants(), ", "))
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
	rows := []int{s.Dim, s.FF, s.Heads * s.HeadDim}
	for _, t := range []gguf.Type{m.most, m.careful} {
		if i := slices.IndexFunc(rows, func(n int) bool { return n%t.BlockSize() != 0 }); i >= 0 {
			return fmt.Errorf("rows of %d values: %v needs a multiple of %d", rows[i], t, t.BlockSize())
		}
	}
	return nil
}

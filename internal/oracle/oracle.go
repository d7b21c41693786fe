// Package oracle lists the models by which this program is compared with
// llama.cpp, and what llama.cpp said to them.
//
// A [Case] is a small model of random weights, one for each architecture and
// quantisation, made anew from its seed wherever it is needed, and a prompt of
// token ids. A [Golden] is what llama.cpp answers: the tokens of greedy
// decoding and, at some places of prompt and answer, its ten most likely
// tokens with their log-probabilities. They are stored in testdata and made by
// "make oracle", which fetches llama.cpp with npm; nothing else needs it.
//
// Nothing here starts a goroutine.
package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
)

const (
	// PromptLen is longer than the window of the models that have one, and
	// prompt and answer together are longer than the context before YaRN.
	PromptLen = 40
	// AnswerLen is how many tokens are decoded.
	AnswerLen = 32
	// Top is how many log-probabilities are compared at a place.
	Top = 10
)

// Case is one model and its prompt.
type Case struct {
	Name   string // FAMILY/QUANTISATION, as package synth names them
	As     string // the case whose golden this one has: itself, or one of the same weights that llama.cpp can load
	Config synth.Config
	Prompt []int32 // see Seeded
}

// Cases lists all, families in order, then quantisations: each family as
// floats and as people download it, and one family in every type.
func Cases() []Case {
	var out []Case
	for _, f := range synth.Families() {
		quants := []string{"F32", "Q8_0", "Q4_K_M"}
		if f == "gpt-oss" {
			quants = append(quants, "MXFP4_MOE")
		}
		if f == "deepseek2+lite" { // its experts are narrower than the blocks of K-quants
			quants = []string{"F32", "Q8_0", "Q4_0"}
		}
		if f == "qwen3moe" {
			quants = synth.Quants()
		}
		for _, q := range quants {
			out = append(out, newCase(f, q))
		}
	}
	return out
}

func newCase(family, quant string) Case {
	name := family + "/" + quant
	c := Case{Name: name, As: name, Config: synth.Config{
		Family: family, Quant: quant, Probe: true,
		Shape: expert.Shape{
			Layers: 3, Experts: 8, TopK: 2, Dim: 256, FF: 256, Vocab: 300, Context: 256,
			Heads: 4, KVHeads: 2, HeadDim: 64, RopeBase: 10000, NormEps: 1e-5,
		},
	}}
	switch family {
	case "llama+single": // llama.cpp no longer loads one tensor per expert
		c.As = "llama/" + quant
	case "olmoe", "dots1": // llama.cpp knows it with as many key heads as query heads only
		c.Config.Shape.KVHeads = 4
	case "deepseek2+lite": // llama.cpp knows it by its 27 layers
		c.Config.Shape.Layers, c.Config.Shape.FF = 27, 32
	}
	return c
}

// Seeded is the case with weights and a prompt drawn from a seed. Which one is
// told in its golden.
func (c Case) Seeded(seed uint64) Case {
	c.Config.Seed = seed
	r := rand.New(rand.NewPCG(seed, 42))
	c.Prompt = nil
	for range PromptLen {
		c.Prompt = append(c.Prompt, int32(r.IntN(c.Config.Shape.Vocab-8)))
	}
	return c
}

// Places are the positions, counted over prompt and answer, after which the
// most likely tokens are compared.
func Places() []int { return []int{0, 19, 39, 47, 55, 63, 70} }

// Golden is what llama.cpp says to a case.
type Golden struct {
	Seed   uint64  // of the model that was asked
	Margin float64 // by how much the answer's tokens were likelier than the next ones, at least
	Answer []int32
	// Tops has, for each of the Places, the likeliest tokens and the logarithms
	// of their probabilities, the likeliest first.
	Tops [][]Candidate
}

// LeastMargin is what a golden's margin must be: a model for which two tokens
// nearly tie cannot be used to compare programs. Seeds are tried until one has
// it. Floats are computed nearly alike by all, so less is enough there.
func LeastMargin(quant string) float64 {
	if floats(quant) {
		return 0.01
	}
	return 0.1
}

func floats(quant string) bool { return slices.Contains([]string{"F32", "F16", "BF16"}, quant) }

// Candidate is a token and its log-probability. In JSON it is a pair.
type Candidate struct {
	Token   int32
	LogProb float64
}

// MarshalJSON writes a pair, the logarithm with five digits after the point.
func (c Candidate) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%.5f]", c.Token, c.LogProb), nil
}

// UnmarshalJSON reads a pair.
func (c *Candidate) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscanf(string(b), "[%d,%g]", &c.Token, &c.LogProb)
	return err
}

// Tolerance is how far log-probabilities of the same token may lie apart.
// Floats of 32 bits are only added up in another order. Where activations are
// rounded, to 16 bits or to 8 bits in blocks, one that lies in the middle of two
// steps may go either way once the last bits before it differ, and all that
// follows from it with it: most quantised cases agree to 0.00001, some that met
// such a middle to about 0.1.
func (c Case) Tolerance() float64 {
	switch {
	case c.Config.Quant == "F32":
		return 0.001
	case floats(c.Config.Quant):
		return 0.05
	case c.Config.Shape.Layers > 3: // a difference grows from layer to layer
		return 0.75
	}
	return 0.3
}

package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// recentTokens is how far back the repetition penalty looks, prompt included;
// llama.cpp's default.
const recentTokens = 64

// errLogits: something upstream computed nonsense.
var errLogits = errors.New("the trunk gave logits that are not finite numbers")

// sampler draws tokens. It holds scratch memory only: what it draws depends
// on its arguments alone.
type sampler struct {
	logprobs []float32   // of the model
	cands    []candidate // as long as the vocabulary
	border   []candidate // see topK
	weights  []float64   // of the candidates that are left
	rng      rand.PCG
}

// draw draws the next token of an answer, of which recent are the last tokens,
// prompt included. It writes to logits and changes nothing else: the answer
// goes on once its drawing has accepted the token.
//
// The steps and their order: penalties on recent tokens and on those of the
// answer, biases, the grammar, then llama.cpp's: top-k, top-p, min-p,
// temperature. So top-p and min-p judge probabilities at temperature 1, top-p
// among what top-k has left; min-p compares with the best token. At
// temperature 0 it is the best token of those that are left, the lowest id
// among equals.
func (s *sampler) draw(logits []float32, recent []int32, d *drawing) (pick, error) {
	p := d.sampling
	var model scores
	if d.logprobs {
		model = s.score(logits, d.alternatives) // before anything changes them
	}
	penalise(logits, recent, p.RepeatPenalty)
	d.adjust(logits)
	if d.matcher != nil {
		if err := d.matcher.Mask(logits); err != nil {
			return pick{}, fmt.Errorf("%w: %w", prompt.ErrBadRequest, err)
		}
	}
	best, err := argmax(logits)
	if err != nil {
		return pick{}, err
	}
	if p.Temperature == 0 {
		return model.pick(best), nil
	}
	s.rng.Seed(p.Seed, uint64(d.drawn))
	left := s.narrow(logits, logits[best], p)
	return model.pick(s.pick(left, logits[best], p.Temperature)), nil
}

// penalise makes recent tokens less likely, each once however often it
// occurred: positive logits are divided, others multiplied.
func penalise(logits []float32, recent []int32, penalty float32) {
	if penalty == 0 || penalty == 1 {
		return
	}
	for i, id := range recent {
		if slices.Contains(recent[:i], id) {
			continue
		}
		if logits[id] > 0 {
			logits[id] /= penalty
		} else {
			logits[id] *= penalty
		}
	}
}

// argmax returns the best token, the lowest id among equals. Negative
// infinity is allowed and means never.
func argmax(logits []float32) (int32, error) {
	best := -1
	top := float32(math.Inf(-1))
	for i, x := range logits {
		if !(x <= top) { // one comparison for nearly all of them
			if x != x {
				return 0, errLogits
			}
			best, top = i, x
		}
	}
	if best < 0 || top > math.MaxFloat32 {
		return 0, errLogits
	}
	return int32(best), nil
}

// narrow returns the candidates that top-k, top-p and min-p leave, at least
// one, in an order that depends on the arguments alone.
func (s *sampler) narrow(logits []float32, top float32, p prompt.Sampling) []candidate {
	never := float32(math.Inf(-1))
	floor := never // min-p, as a logit
	if p.MinP > 0 {
		floor = top + float32(math.Log(float64(p.MinP)))
	}
	bestK := p.TopK > 0 && p.TopK < len(logits)
	nucleus := p.TopP > 0 && p.TopP < 1
	var left []candidate
	switch {
	case bestK:
		left = s.topK(logits, top, p.TopK)
	case nucleus:
		left = s.all(logits, never)
	default:
		return s.all(logits, floor)
	}
	if nucleus {
		left = s.topP(left, top, p.TopP)
	}
	return slices.DeleteFunc(left, func(c candidate) bool { return c.logit < floor })
}

// pick draws one of the candidates at the temperature.
func (s *sampler) pick(from []candidate, top, temperature float32) int32 {
	s.weights = s.weights[:0]
	sum := 0.0
	for _, c := range from {
		w := exp(float64(c.logit-top) / float64(temperature))
		s.weights = append(s.weights, w)
		sum += w
	}
	at := s.uniform() * sum
	last := 0
	for i, w := range s.weights {
		if w == 0 {
			continue
		}
		if at < w {
			return from[i].id
		}
		at -= w
		last = i
	}
	return from[last].id // rounding: at is the very end of the sum
}

// uniform returns the next number of the generator, from 0 to below 1.
func (s *sampler) uniform() float64 { return float64(s.rng.Uint64()>>11) / (1 << 53) }

// exp is e to the power of x, for x <= 0, right to 9 digits and three times as
// fast as math.Exp: with a vocabulary of 150,000 it is most of the time that
// drawing takes.
func exp(x float64) float64 {
	if x < -700 { // 1e-304; below -745 there is no such number any more
		return 0
	}
	n := int64(x*math.Log2E - 0.5) // x = n ln 2 + r, n the nearest whole number
	r := x - float64(n)*math.Ln2   // at most 0.35 either way
	const a, b, c, d = 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120
	const e, f, g = 1.0 / 720, 1.0 / 5040, 1.0 / 40320
	series := 1 + r*(1+r*(a+r*(b+r*(c+r*(d+r*(e+r*(f+r*g)))))))
	return series * math.Float64frombits(uint64(n+1023)<<52)
}

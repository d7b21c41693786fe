package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/gating/grammar"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// drawing is what the next token of an answer depends on, besides the logits
// and the tokens of its text: a function of the tokens accepted so far, so an
// answer that moves to another node goes on there in the same way.
type drawing struct {
	// Fixed once made.
	sampling     prompt.Sampling
	logprobs     bool
	alternatives int

	drawn   int              // tokens of the answer so far
	counts  map[int32]int    // how often each stands in it; nil: nobody asks
	matcher *grammar.Matcher // nil: the answer is free
}

// newDrawing stands at the beginning of an answer. thinks says that its prompt
// ends inside reasoning.
func (e *Engine) newDrawing(r prompt.Request, thinks bool) (*drawing, error) {
	d := &drawing{sampling: r.Sampling, logprobs: r.Logprobs, alternatives: r.Alternatives}
	if r.Sampling.FrequencyPenalty != 0 || r.Sampling.PresencePenalty != 0 {
		d.counts = make(map[int32]int)
	}
	for _, b := range r.Sampling.Bias {
		if b.Token < 0 || int(b.Token) >= e.cfg.Vocab {
			return nil, fmt.Errorf("%w: a bias for token %d; this model's vocabulary has %d", prompt.ErrBadRequest, b.Token, e.cfg.Vocab)
		}
	}
	g, err := e.grammar(r, thinks)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", prompt.ErrBadRequest, err)
	}
	if g != nil {
		d.matcher = grammar.NewMatcher(g, e.vocabulary())
	}
	for _, id := range r.Prefix {
		if err := d.accept(id); err != nil {
			return nil, fmt.Errorf("%w: the part of the answer that was given before: %w", prompt.ErrBadRequest, err)
		}
	}
	return d, nil
}

// grammar is that of an answer; nil when it is free.
func (e *Engine) grammar(r prompt.Request, thinks bool) (*grammar.Grammar, error) {
	switch {
	case r.Schema != nil && thinks:
		return grammar.Thinking(prompt.ThinkEnd, []grammar.Framed{{Schema: r.Schema}})
	case r.Schema != nil:
		return grammar.Compile(r.Schema)
	case r.Chat != nil && r.Chat.Force != "":
		return e.cfg.Chat.ForcedCall(r.Chat, thinks)
	}
	return nil, nil
}

// accept moves on by a token.
func (d *drawing) accept(id int32) error {
	d.drawn++
	if d.counts != nil {
		d.counts[id]++
	}
	if d.matcher != nil {
		return d.matcher.Accept(id)
	}
	return nil
}

// adjust applies the penalties on tokens of the answer, and the biases.
func (d *drawing) adjust(logits []float32) {
	for id, n := range d.counts {
		logits[id] -= d.sampling.FrequencyPenalty*float32(n) + d.sampling.PresencePenalty
	}
	for _, b := range d.sampling.Bias {
		logits[b.Token] += b.Add
	}
}

// pick is a token that was drawn.
type pick struct {
	id      int32
	logprob float32
	top     []prompt.Candidate // without their bytes
}

// scores are the log-probabilities that the model gives the next token; empty
// when nobody asks.
type scores struct {
	logprobs []float32
	top      []prompt.Candidate
}

func (s scores) pick(id int32) pick {
	if s.logprobs == nil {
		return pick{id: id}
	}
	return pick{id: id, logprob: s.logprobs[id], top: s.top}
}

// score finds the log-probabilities of all tokens, and the n likeliest.
func (s *sampler) score(logits []float32, n int) scores {
	top := slices.Max(logits)
	sum := 0.0
	for _, x := range logits {
		sum += exp(float64(x - top))
	}
	total := float64(top) + math.Log(sum)
	s.logprobs = s.logprobs[:0]
	for _, x := range logits {
		s.logprobs = append(s.logprobs, min(0, max(-math.MaxFloat32, float32(float64(x)-total))))
	}
	out := scores{logprobs: s.logprobs}
	for id, p := range s.logprobs {
		if len(out.top) == n && (n == 0 || p <= out.top[n-1].Logprob) {
			continue
		}
		at, _ := slices.BinarySearchFunc(out.top, p, func(c prompt.Candidate, p float32) int {
			if c.Logprob == p {
				return -1 // lower ids first among equals
			}
			return cmp.Compare(p, c.Logprob)
		})
		out.top = slices.Insert(out.top, at, prompt.Candidate{Token: int32(id), Logprob: p})
		out.top = out.top[:min(n, len(out.top))]
	}
	return out
}

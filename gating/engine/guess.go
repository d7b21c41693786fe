package engine

import (
	"context"
	"math"
	"time"

	"github.com/moeswarm/moeswarm/gating/draft"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// Small is a small model that drafts: it runs here with all its weights, and
// has the vocabulary of the model it drafts for, up to ids that one of them
// has beyond the other's.
type Small struct {
	Lane           Forwarder
	Slots          Slots
	Vocab, Context int
}

const (
	// guessStreams is the number of sequences that decode up to which the
	// small model is asked. It works in Run's goroutine, and many streams
	// share a round to the experts anyhow.
	guessStreams = 4
	// guessRead is how many tokens of a prompt the small model reads at a
	// time, between steps.
	guessRead = 64
)

// guesser drafts with a small model.
type guesser struct {
	Small
	vocab   int  // of both models
	broken  bool // it has failed and is not asked any more
	pace    draft.ModelPace
	sampler sampler
	free    []int
	next    int
}

// guess is what the small model has of a sequence.
type guess struct {
	slot int
	ids  []int32 // whose keys and values it has, drafted ones included
	odd  bool    // it does not know one of the sequence's tokens
}

// ready brings the small model up to a sequence's last token but one, a part
// at a time, and reports whether it is there and has room for a draft.
func (g *guesser) ready(ctx context.Context, s *sequence) (bool, error) {
	if len(s.ids)+MaxDrafts > g.Context {
		return false, nil
	}
	if s.guess == nil {
		s.guess = &guess{slot: g.next}
		if last := len(g.free) - 1; last >= 0 {
			s.guess.slot, g.free = g.free[last], g.free[:last]
		} else {
			g.next++
		}
	}
	for i, id := range s.ids[:min(len(s.ids), len(s.guess.ids))] {
		if s.guess.ids[i] != id {
			s.guess.ids = s.guess.ids[:i] // what was drafted wrong is written over
			break
		}
	}
	have := min(len(s.guess.ids), len(s.ids)-1)
	s.guess.ids = s.guess.ids[:have]
	for _, id := range s.ids[have:] {
		s.guess.odd = s.guess.odd || int(id) >= g.Vocab
	}
	if s.guess.odd {
		return false, nil
	}
	if len(s.ids)-have <= guessRead {
		return true, nil
	}
	return false, g.feed(ctx, s.guess, s.ids[have:have+guessRead], nil)
}

// feed gives the small model a sequence's next tokens.
func (g *guesser) feed(ctx context.Context, x *guess, ids []int32, logits func([]float32)) error {
	step := trunk.Step{Tokens: ids}
	for i := range ids {
		step.Positions, step.Slots = append(step.Positions, len(x.ids)+i), append(step.Slots, x.slot)
	}
	if logits != nil {
		step.Logits = []int{len(ids) - 1}
	}
	began := time.Now()
	out, err := g.Lane.Forward(ctx, step)
	if err != nil {
		return err
	}
	x.ids = append(x.ids, ids...)
	if logits != nil {
		logits(out.Row(0)[:g.vocab])
		if len(ids) == 1 {
			g.pace.Took(time.Since(began))
		}
	}
	return nil
}

// draft has the small model go on with a sequence for as long as more says.
// It draws with the same (seed, index) as the model itself will: what both
// think likely they then draw alike, also at a high temperature.
func (g *guesser) draft(ctx context.Context, s *sequence, p *draft.Proposal, more func(p *draft.Proposal) bool) error {
	next := s.ids[len(s.guess.ids):]
	recent := append([]int32(nil), s.ids[max(0, len(s.ids)-recentTokens):]...)
	for {
		var id int32
		var sure float64
		var bad error
		err := g.feed(ctx, s.guess, next, func(logits []float32) {
			// What the answer is bound to otherwise is left to the model itself.
			plain := drawing{sampling: s.drawing.sampling, drawn: len(s.ids) - s.prompt + len(p.Tokens)}
			plain.sampling.Bias = nil
			var pick pick
			pick, bad = g.sampler.draw(logits, recent[max(0, len(recent)-recentTokens):], &plain)
			if id = pick.id; bad == nil {
				sure = probability(logits, id)
			}
		})
		if err != nil || bad != nil {
			return err // a model that gives nonsense drafts nothing
		}
		p.Add(id, draft.ConfidenceClass(sure))
		if !more(p) {
			return nil
		}
		recent = append(recent, id)
		next = []int32{id}
	}
}

// end forgets a sequence.
func (g *guesser) end(s *sequence) {
	if s.guess != nil {
		g.Slots.Release(s.guess.slot)
		g.free = append(g.free, s.guess.slot)
		s.guess = nil
	}
}

// probability is that of a token at temperature 1.
func probability(logits []float32, id int32) float64 {
	sum := 0.0
	for _, x := range logits {
		if d := float64(x - logits[id]); d > 0 {
			sum += math.Exp(min(d, 700))
		} else {
			sum += exp(d)
		}
	}
	return 1 / sum
}

package engine

import (
	"context"
	"time"

	"github.com/moeswarm/moeswarm/gating/draft"
)

// MaxDrafts is the longest draft. Beyond it the chance that all is right no
// longer grows the answer much, and a step's rows are wanted by others.
const MaxDrafts = 32

// drafter decides what the sequences of a step bring beyond their next token.
// Like the loop it belongs to one goroutine.
type drafter struct {
	most   int  // tokens per draft; 0: none
	always bool // whatever they cost
	ends   func(id int32) bool
	small  *guesser // nil: only looking back

	acceptance *draft.Acceptance
	costs      draft.Costs // what steps took
	work       draft.Costs // what of that was work here or at holders

	// Scratch.
	curve   []float64
	effort  []float64
	chances [][]float64
}

func newDrafter(cfg Config) *drafter {
	d := &drafter{most: MaxDrafts, ends: cfg.Tokenizer.EndsText, acceptance: draft.NewAcceptance()}
	if s := cfg.Small; s != nil {
		d.small = &guesser{Small: *s, vocab: min(s.Vocab, cfg.Vocab)}
	}
	switch {
	case cfg.Drafts < 0:
		d.most = 0
	case cfg.Drafts > 0:
		d.most, d.always = cfg.Drafts, true
	}
	return d
}

// propose gives each of the sequences, which all decode in this step, the draft
// that is worth sending. The step has that many rows already, and room for so
// many more. It is one of so many groups that advance out of phase.
func (d *drafter) propose(ctx context.Context, in []*sequence, rows, room, groups int) error {
	if d.most == 0 || len(in) == 0 {
		return nil
	}
	d.curve = d.curve[:0]
	if d.costs.Known(rows) {
		d.curve = d.costs.Curve(rows+room, d.curve)
		d.burden(rows, groups)
	}
	d.chances = d.chances[:0]
	for _, s := range in {
		s.guessed = false
		s.proposal.Reset()
		d.look(s)
		s.chances = s.acceptance.Chances(&s.proposal, s.chances[:0])
		if d.small != nil && !d.small.broken && len(in)*groups <= guessStreams {
			if err := d.guess(ctx, s, rows, room); err != nil {
				return err
			}
		}
		d.chances = append(d.chances, s.chances)
	}
	switch {
	case d.always:
		for _, s := range in {
			n := min(len(s.proposal.Tokens), room)
			s.draft = s.proposal.Tokens[:n]
			room -= n
		}
	case len(d.curve) > 0:
		for i, n := range draft.Share(rows, room, d.chances, d.curve) {
			in[i].draft = in[i].proposal.Tokens[:n]
		}
	}
	return nil
}

// guess has the small model draft instead, where that promises more.
func (d *drafter) guess(ctx context.Context, s *sequence, rows, room int) error {
	most := min(d.most, room, s.limit-len(s.ids)-1)
	if ready, err := d.small.ready(ctx, s); err != nil || !ready || most < 1 {
		return err
	}
	pace := &d.small.pace
	switch {
	case d.always:
		if len(s.proposal.Tokens) > 0 && s.chances[0] >= pace.Rate() {
			return nil
		}
	case len(d.curve) == 0:
		return nil
	case pace.Best(rows, most, d.curve) <= draft.Best(rows, s.chances, d.curve):
		if !pace.Try() {
			return nil
		}
	}
	s.guessed = true
	s.proposal.Reset()
	chance, tokens := 1.0, 1.0
	err := d.small.draft(ctx, s, &s.proposal, func(p *draft.Proposal) bool {
		n := len(p.Tokens)
		if d.ends(p.Tokens[n-1]) || n >= most {
			return false
		}
		chance *= s.acceptance.Rate(p.Classes[n-1])
		tokens += chance
		return d.always || pace.More(n, chance, tokens, rows, d.curve)
	})
	d.cut(&s.proposal)
	s.chances = s.acceptance.Chances(&s.proposal, s.chances[:0])
	return err
}

// burden makes rows dearer where groups of sequences fill each other's waits:
// whatever work a row adds to this group's step, every other group waits for.
func (d *drafter) burden(rows, groups int) {
	if groups < 2 || !d.work.Known(rows) {
		return
	}
	d.effort = d.work.Curve(len(d.curve)-1, d.effort)
	d.curve = d.curve[:len(d.effort)] // both know the same steps
	for n := rows + 1; n < len(d.curve); n++ {
		d.curve[n] += float64(groups-1) * (d.effort[n] - d.effort[rows])
	}
}

// look fills a sequence's proposal by looking back. Nothing is proposed beyond
// the answer's end: the last token needs no row, nor does one that ends the
// text.
func (d *drafter) look(s *sequence) {
	if s.lookup == nil {
		s.lookup, s.acceptance = draft.NewLookup(s.limit), d.acceptance.Narrow()
	}
	s.lookup.Propose(s.ids, min(d.most, s.limit-len(s.ids)-1), &s.proposal)
	d.cut(&s.proposal)
}

// cut takes off what comes from the end of the text on.
func (d *drafter) cut(p *draft.Proposal) {
	for i, id := range p.Tokens {
		if d.ends(id) {
			p.Tokens, p.Classes = p.Tokens[:i], p.Classes[:i]
			return
		}
	}
}

// took learns what a step of so many rows took, and what of that was work.
func (d *drafter) took(rows int, all, work time.Duration) {
	if d.most > 0 {
		d.costs.Note(rows, all)
		d.work.Note(rows, max(work, 1))
	}
}

// came learns what really followed.
func (d *drafter) came(s *sequence, ids []int32) {
	if s.acceptance == nil {
		return
	}
	s.acceptance.Observe(&s.proposal, ids)
	if s.guessed {
		d.small.pace.Came(&s.proposal, ids)
	}
}

// end forgets a sequence.
func (d *drafter) end(s *sequence) {
	if d.small != nil {
		d.small.end(s)
	}
}

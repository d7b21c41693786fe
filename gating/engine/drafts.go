package engine

import (
	"time"

	"github.com/moeswarm/moeswarm/gating/draft"
)

// maxDraft is the longest draft of its own accord. Beyond it the chance that
// all is right no longer grows the answer much, and a step's rows are wanted
// by others.
const maxDraft = 32

// MaxDrafts is the longest draft that can be asked for.
const MaxDrafts = 128

// drafter decides what the sequences of a step bring beyond their next token.
// Like the loop it belongs to one goroutine.
type drafter struct {
	most   int  // tokens per draft; 0: none
	always bool // whatever they cost
	ends   func(id int32) bool

	acceptance *draft.Acceptance
	costs      draft.Costs // what steps took
	work       draft.Costs // what of that was work here or at holders

	// Scratch.
	curve   []float64
	effort  []float64
	chances [][]float64
}

func newDrafter(cfg Config) *drafter {
	d := &drafter{most: maxDraft, ends: cfg.Tokenizer.EndsText, acceptance: draft.NewAcceptance()}
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
func (d *drafter) propose(in []*sequence, rows, room, groups int) {
	if d.most == 0 || len(in) == 0 {
		return
	}
	d.chances = d.chances[:0]
	for _, s := range in {
		s.proposal.Reset()
		d.look(s)
		s.chances = s.acceptance.Chances(&s.proposal, s.chances[:0])
		d.chances = append(d.chances, s.chances)
	}
	switch {
	case d.always:
		for _, s := range in {
			n := min(len(s.proposal.Tokens), room)
			s.draft = s.proposal.Tokens[:n]
			room -= n
		}
	case d.costs.Known(rows):
		d.curve = d.costs.Curve(rows+room, d.curve)
		d.burden(rows, groups)
		for i, n := range draft.Share(rows, room, d.chances, d.curve) {
			in[i].draft = in[i].proposal.Tokens[:n]
		}
	}
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
	for i, id := range s.proposal.Tokens {
		if d.ends(id) {
			s.proposal.Tokens, s.proposal.Classes = s.proposal.Tokens[:i], s.proposal.Classes[:i]
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
	if s.acceptance != nil {
		s.acceptance.Observe(&s.proposal, ids)
	}
}

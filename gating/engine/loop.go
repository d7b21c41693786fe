package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// loop is what Run's goroutine alone may touch.
type loop struct {
	*Engine
	active  []*sequence // oldest first
	free    []int       // slots
	sampler sampler
	drafts  *drafter
}

// join lets waiting sequences in while there are slots.
func (l *loop) join() {
	for len(l.free) > 0 {
		s := l.queue.pop()
		if s == nil {
			return
		}
		if s.ctx.Err() != nil {
			s.end("", context.Cause(s.ctx))
			continue
		}
		last := len(l.free) - 1
		s.slot, l.free = l.free[last], l.free[:last]
		l.active = append(l.active, s)
		l.running.Add(1)
	}
}

// leave lets go of the sequences whose reader is gone.
func (l *loop) leave() {
	for _, s := range slices.Clone(l.active) {
		if s.ctx.Err() != nil {
			l.end(s, "", context.Cause(s.ctx))
		}
	}
}

// stop ends all that run or wait.
func (l *loop) stop() {
	for _, s := range slices.Clone(l.active) {
		l.end(s, "", errStopping())
	}
	for _, s := range l.queue.close() {
		s.end("", errStopping())
	}
}

// end ends a running sequence and frees its slot.
func (l *loop) end(s *sequence, f prompt.Finish, err error) {
	i := slices.Index(l.active, s)
	l.active = slices.Delete(l.active, i, i+1)
	l.free = append(l.free, s.slot)
	l.running.Add(-1)
	l.cfg.Forwarder.Release(s.slot)
	s.end(f, err)
}

// step is one pass: schedule, draft, forward, sample.
func (l *loop) step(ctx context.Context) {
	pending := make([]int, len(l.active))
	for i, s := range l.active {
		pending[i] = s.pending()
	}
	in := l.members(schedule(pending, l.cfg.PrefillChunk, l.cfg.MaxRows))
	step := batch(in)
	effort := bestEffort(in)
	logits, err := l.forward(ctx, in, step, effort)
	l.steps.Add(1)
	if err != nil {
		l.fail(ctx, in, err)
		return
	}
	for _, m := range in {
		if m.drawn == 0 {
			l.prefilled.Add(uint64(m.rows))
		}
		m.fed += m.rows
		noteDropped(m, effort, 0, m.rows)
		if m.pending() == 0 {
			l.verify(m, logits, effort)
		}
	}
}

// member is a sequence in a step.
type member struct {
	*sequence
	rows       int // how many of its next tokens are in the step, its draft aside
	row, logit int // its first row, and its first row of logits
}

// members are the sequences that have rows in the step, with their drafts.
func (l *loop) members(rows []int) (in []member) {
	var draws []*sequence // their last token is in the step
	total := 0
	for i, s := range l.active {
		s.draft = nil
		if rows[i] == 0 {
			continue
		}
		in = append(in, member{sequence: s, rows: rows[i]})
		total += rows[i]
		if rows[i] == s.pending() {
			draws = append(draws, s)
		}
	}
	l.drafts.propose(draws, total, l.cfg.MaxRows-total)
	return in
}

// batch builds the step in which each sequence has as many rows as it was
// given, and its draft after them, and tells each where its rows are.
func batch(in []member) (step trunk.Step) {
	for i, m := range in {
		in[i].row, in[i].logit = len(step.Tokens), len(step.Logits)
		add := func(id int32, pos int) {
			step.Tokens = append(step.Tokens, id)
			step.Positions = append(step.Positions, pos)
			step.Slots = append(step.Slots, m.slot)
		}
		for pos := m.fed; pos < m.fed+m.rows; pos++ {
			add(m.ids[pos], pos)
		}
		if m.fed+m.rows < len(m.ids) {
			continue
		}
		step.Logits = append(step.Logits, len(step.Tokens)-1)
		for i, id := range m.draft {
			add(id, len(m.ids)+i)
			step.Logits = append(step.Logits, len(step.Tokens)-1)
		}
	}
	return step
}

// forwardTries is how often a step is run before its sequences are given up:
// what failed it, a holder that went away, is gone at the second try, because
// the router has noticed by then.
const forwardTries = 2

// settleTries is how often a step is run again because a result in it was
// found wrong. Each time a liar is found out; more than these at once are a
// swarm to leave.
const settleTries = 8

// forward runs a step. When all its sequences have lost their readers in the
// meantime, it is broken off.
func (l *loop) forward(ctx context.Context, in []member, step trunk.Step, effort *gating.BestEffort) (expert.Batch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wanted atomic.Int64
	wanted.Store(int64(len(in)))
	for _, m := range in {
		stop := context.AfterFunc(m.ctx, func() {
			if wanted.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	if effort != nil {
		ctx = gating.WithBestEffort(ctx, effort)
	}
	for try, settled := 1, 0; ; try++ {
		if effort != nil {
			effort.Dropped = nil // what an earlier try left out is not in the answer
		}
		began := time.Now()
		logits, err := l.cfg.Forwarder.Forward(ctx, step)
		if err == nil && l.cfg.Settle != nil {
			if err = l.cfg.Settle(ctx); err != nil && settled < settleTries && ctx.Err() == nil {
				settled++
				try = 0
				l.cfg.Log.Info("a result was wrong, running the step again", "err", err)
				continue
			}
		}
		if err == nil && (logits.Rows != len(step.Logits) || logits.Dim != l.cfg.Vocab || len(logits.Data) != logits.Rows*logits.Dim) {
			return logits, fmt.Errorf("the trunk gave logits of shape (%d, %d), want (%d, %d)", logits.Rows, logits.Dim, len(step.Logits), l.cfg.Vocab)
		}
		if err == nil {
			l.drafts.took(step.Rows(), time.Since(began))
		}
		final := errors.Is(err, expert.ErrNoHolder) || errors.Is(err, expert.ErrBadCall)
		if err == nil || final || try == forwardTries || ctx.Err() != nil {
			return logits, err
		}
		l.cfg.Log.Debug("step failed, trying again", "err", err)
	}
}

// fail ends the sequences of a step that failed. When it failed because Run is
// to end, stop does that.
func (l *loop) fail(ctx context.Context, in []member, err error) {
	if ctx.Err() != nil {
		return
	}
	for _, m := range in {
		switch {
		case m.ctx.Err() != nil:
			l.end(m.sequence, "", context.Cause(m.ctx))
		case errors.Is(err, expert.ErrNoHolder):
			l.end(m.sequence, "", fmt.Errorf("%w: %w", prompt.ErrMissingExperts, err))
		default:
			l.end(m.sequence, "", fmt.Errorf("%w: step failed: %w", prompt.ErrLost, err))
		}
	}
	l.cfg.Log.Warn("step failed", "sequences", len(in), "err", err)
}

// verify draws a sequence's next token, and as long as it is what the draft
// said, the one after it: the logits of the draft's row are then those that
// the next step would have given. What the trunk keeps of the rest is written
// over by the next step.
func (l *loop) verify(m member, logits expert.Batch, effort *gating.BestEffort) {
	before := len(m.ids)
	m.drafts.Drafted += len(m.draft)
	l.drafted.Add(uint64(len(m.draft)))
	for i := 0; ; i++ {
		expected := int32(-1)
		if i < len(m.draft) {
			expected = m.draft[i]
		}
		if !l.draw(m.sequence, logits.Row(m.logit+i), expected) {
			break
		}
		m.fed++
		noteDropped(m, effort, m.rows+i, m.rows+i+1)
	}
	l.drafts.came(m.sequence, m.ids[before:])
}

// draw draws the next token of a sequence and sends it to its reader. It
// reports whether the answer goes on with the token expected.
func (l *loop) draw(s *sequence, logits []float32, expected int32) bool {
	recent := s.ids[max(0, len(s.ids)-recentTokens):]
	id, err := l.sampler.draw(logits, recent, s.sampling, len(s.ids)-s.prompt)
	if err != nil {
		l.end(s, "", fmt.Errorf("%w: %w", prompt.ErrLost, err))
		return false
	}
	if id == expected {
		s.drafts.Accepted++
		l.accepted.Add(1)
	}
	s.ids = append(s.ids, id)
	s.drawn++
	s.tokens <- drawn{id, s.dropped, s.drafts}
	s.dropped = prompt.Dropped{}
	l.decoded.Add(1)
	switch {
	case l.cfg.Tokenizer.EndsText(id):
		l.end(s, prompt.FinishStop, nil)
	case len(s.ids) == s.limit:
		l.end(s, prompt.FinishLength, nil)
	default:
		return id == expected
	}
	return false
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

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

// step is one pass: schedule, forward, sample.
func (l *loop) step(ctx context.Context) {
	pending := make([]int, len(l.active))
	for i, s := range l.active {
		pending[i] = s.pending()
	}
	in, step := batch(l.active, schedule(pending, l.cfg.PrefillChunk, l.cfg.MaxRows))
	effort := bestEffort(in)
	logits, err := l.forward(ctx, in, step, effort)
	l.steps.Add(1)
	if err != nil {
		l.fail(ctx, in, err)
		return
	}
	noteDropped(in, effort)
	row := 0
	for _, m := range in {
		if m.drawn == 0 {
			l.prefilled.Add(uint64(m.rows))
		}
		m.fed += m.rows
		if m.pending() == 0 {
			l.draw(m.sequence, logits.Row(row))
			row++
		}
	}
}

// member is a sequence in a step.
type member struct {
	*sequence
	rows int // how many of its next tokens are in the step
}

// batch builds the step in which each sequence has as many rows as it was
// given.
func batch(active []*sequence, rows []int) ([]member, trunk.Step) {
	var in []member
	var step trunk.Step
	for i, s := range active {
		if rows[i] == 0 {
			continue
		}
		in = append(in, member{s, rows[i]})
		for pos := s.fed; pos < s.fed+rows[i]; pos++ {
			step.Tokens = append(step.Tokens, s.ids[pos])
			step.Positions = append(step.Positions, pos)
			step.Slots = append(step.Slots, s.slot)
		}
		if s.fed+rows[i] == len(s.ids) {
			step.Logits = append(step.Logits, len(step.Tokens)-1)
		}
	}
	return in, step
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

// draw draws the next token of a sequence and sends it to its reader.
func (l *loop) draw(s *sequence, logits []float32) {
	recent := s.ids[max(0, len(s.ids)-recentTokens):]
	id, err := l.sampler.draw(logits, recent, s.sampling, len(s.ids)-s.prompt)
	if err != nil {
		l.end(s, "", fmt.Errorf("%w: %w", prompt.ErrLost, err))
		return
	}
	s.ids = append(s.ids, id)
	s.drawn++
	s.tokens <- drawn{id, s.dropped}
	s.dropped = prompt.Dropped{}
	l.decoded.Add(1)
	switch {
	case l.cfg.Tokenizer.EndsText(id):
		l.end(s, prompt.FinishStop, nil)
	case len(s.ids) == s.limit:
		l.end(s, prompt.FinishLength, nil)
	}
}

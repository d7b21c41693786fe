package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// pool adds up the hidden states of a text.
type pool struct {
	sum []float64
	n   int // positions in it; those before are not counted again
}

// embed takes the hidden states of a step. At the end of the text the mean of
// all is the answer.
func (l *loop) embed(m member, n *lane) {
	hidden := n.forwarder.Hidden()
	if hidden.Rows != len(n.step.Hidden) {
		l.end(m.sequence, "", fmt.Errorf("%w: the trunk gave %d hidden states, want %d", prompt.ErrLost, hidden.Rows, len(n.step.Hidden)))
		return
	}
	p := m.pool
	if p.sum == nil {
		p.sum = make([]float64, hidden.Dim)
	}
	for i := range m.rows {
		if at := m.fed - m.rows + i; at < p.n {
			continue // computed again after its memory was taken away
		}
		for j, x := range hidden.Row(m.hidden + i) {
			p.sum[j] += float64(x)
		}
		p.n++
	}
	if m.pending() > 0 {
		return
	}
	mean := make([]float32, len(p.sum))
	for j, x := range p.sum {
		mean[j] = float32(x / float64(p.n))
	}
	m.tokens <- drawn{embedding: mean}
	l.end(m.sequence, prompt.FinishStop, nil)
}

// Tokens are a request's text, or its conversation as the chat template has it,
// without the prefix. An error wraps [prompt.ErrBadRequest] when there are none.
func (e *Engine) Tokens(ctx context.Context, r prompt.Request) ([]int32, error) {
	text, err := e.text(ctx, r)
	if err != nil {
		return nil, err
	}
	ids, err := e.cfg.Tokenizer.Encode(text, !r.Plain)
	if err != nil {
		return nil, fmt.Errorf("%w: the text cannot be tokenised: %w", prompt.ErrBadRequest, err)
	}
	return ids, nil
}

// tokenTask answers requests that need the tokenizer alone.
func (e *Engine) tokenTask(ctx context.Context, r prompt.Request, yield func(prompt.Chunk) bool) error {
	ids := r.Tokens
	if r.Task == prompt.TaskTokenize {
		var err error
		if ids, err = e.Tokens(ctx, r); err != nil {
			return err
		}
	} else if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= e.cfg.Vocab }); i >= 0 {
		return fmt.Errorf("%w: token %d (number %d) is not in this model's vocabulary of %d", prompt.ErrBadRequest, ids[i], i, e.cfg.Vocab)
	}
	for _, id := range ids[min(len(r.Prefix), len(ids)):] {
		if !yield(prompt.Chunk{HasToken: true, Token: id, Bytes: e.textOf(id)}) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	yield(prompt.Chunk{Finish: prompt.FinishStop})
	return nil
}

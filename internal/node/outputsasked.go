package node

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
	"github.com/moeswarm/moeswarm/swarm"
)

// asked reports whether a transcript began with what its client asked: whether
// the tokens before the answer are those of the request's text, or of its
// conversation as the model's template has it, and of the answer's part that was
// there before; and whether the answer was to be greedy.
//
// The request is the client's, as the answer's first chunk says and the client has
// checked. One that this node cannot make tokens of proves nothing: the gating
// node might have had more time for it.
func (o *outputs) asked(ctx context.Context, m Model, t *transcript.Transcript) (bool, error) {
	r, err := swarm.ReadRequest(t.Request)
	if err == nil && r.Model != m.Model.ID() {
		return false, nil
	}
	var want []int32
	if err == nil {
		want, err = o.tokens(ctx, m, r)
	}
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, prompt.ErrBadRequest):
		o.e.node.cfg.Log.Warn("what an answer was asked is not compared", "err", err)
		return true, nil
	case err != nil:
		return false, err
	}
	return slices.Equal(t.Prompt, append(want, r.Prefix...)) && t.Greedy == r.Greedy(), nil
}

// tokens is what a gating node makes of a request.
func (o *outputs) tokens(ctx context.Context, m Model, r prompt.Request) ([]int32, error) {
	text := r.Text
	if r.Chat != nil {
		// The model's own template, whatever this node answers others by.
		renderer, err := newRenderer(m.Model.File(), Config{TemplateWorker: o.e.node.cfg.TemplateWorker})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { _ = renderer.Run(ctx) })
		text, err = renderer.Render(ctx, r.Chat)
		cancel()
		running.Wait()
		if err != nil {
			return nil, err
		}
	}
	tok, err := tokenizer.New(m.Model.File())
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(text, true)
	if err != nil {
		return nil, errors.Join(prompt.ErrBadRequest, err)
	}
	return ids, nil
}

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
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

// tokens is what a gating node makes of a request. This one has the model's own
// template, too: no other goes with an economy.
func (o *outputs) tokens(ctx context.Context, m Model, r prompt.Request) ([]int32, error) {
	e := o.e.node.gates.engine(m.Model.ID())
	if e == nil {
		return nil, fmt.Errorf("%w: this node does not gate %s now", prompt.ErrUnknownModel, m.Name)
	}
	r.Plain = false // what tokenising alone may ask for
	return e.Tokens(ctx, r)
}

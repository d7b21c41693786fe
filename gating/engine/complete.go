package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

var _ prompt.Completer = (*Engine)(nil)

// Complete implements prompt.Completer. The last chunk has no token.
func (e *Engine) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		err := e.complete(ctx, r, func(c prompt.Chunk) bool { return yield(c, nil) })
		if err != nil {
			yield(prompt.Chunk{}, err)
		}
	}
}

// complete returns nil also when yield has had enough.
func (e *Engine) complete(ctx context.Context, r prompt.Request, yield func(prompt.Chunk) bool) error {
	// An answer holds its place until its reader has all of it: this bounds
	// the prompts being tokenised as well as the answers waiting to be read.
	if !e.queue.enter(r.User, e.busy) {
		return e.busy()
	}
	defer e.queue.leave(r.User)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := e.newSequence(ctx, r)
	if err != nil {
		return err
	}
	if s.tokens == nil { // nothing left to draw
		yield(prompt.Chunk{PromptTokens: s.prompt, Finish: s.finish})
		return nil
	}
	if !e.queue.push(s) {
		return errStopping()
	}
	defer func() {
		e.queue.remove(s)
		e.queue.nudge()
	}()
	for {
		select {
		case t, ok := <-s.tokens:
			switch {
			case ok:
				if !yield(prompt.Chunk{PromptTokens: s.prompt, HasToken: true, Token: t.id, Bytes: e.cfg.Tokenizer.Bytes(t.id), Dropped: t.dropped, Drafts: t.drafts, Cached: t.cached}) {
					return nil
				}
			case s.err != nil:
				return s.err
			default:
				yield(prompt.Chunk{PromptTokens: s.prompt, Finish: s.finish, Drafts: s.drafts, Cached: s.cached})
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func errStopping() error { return fmt.Errorf("%w: the node is stopping", prompt.ErrLost) }

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
	if r.Task == prompt.TaskTokenize || r.Task == prompt.TaskDetokenize {
		return e.tokenTask(ctx, r, yield)
	}
	s, err := e.newSequence(ctx, r)
	if err != nil {
		return err
	}
	chunk := prompt.Chunk{PromptTokens: s.prompt}
	if r.Chat != nil {
		chunk.Tools, chunk.Thinks = e.cfg.Chat.Tools(), s.thinks // in the first chunk only
	}
	if s.tokens == nil { // nothing left to draw
		chunk.Finish = s.finish
		yield(chunk)
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
			case ok && t.embedding != nil:
				yield(prompt.Chunk{PromptTokens: s.prompt, Embedding: t.embedding, Finish: prompt.FinishStop})
				return nil
			case ok:
				chunk.HasToken, chunk.Token, chunk.Dropped, chunk.Drafts = true, t.id, t.dropped, t.drafts
				chunk.Cached, chunk.Trace = t.cached, t.trace
				chunk.Bytes, chunk.Mark = e.cfg.Tokenizer.Bytes(t.id), e.cfg.Tokenizer.Mark(t.id)
				chunk.Logprob, chunk.Top = t.logprob, t.top
				for i := range chunk.Top {
					chunk.Top[i].Bytes = e.textOf(chunk.Top[i].Token)
				}
				if !yield(chunk) {
					return nil
				}
				chunk.Tools, chunk.Thinks = prompt.ToolsNone, false
			case s.err != nil:
				return s.err
			default:
				yield(prompt.Chunk{PromptTokens: s.prompt, Finish: s.finish, Tools: chunk.Tools, Thinks: chunk.Thinks, Drafts: s.drafts, Cached: s.cached})
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func errStopping() error { return fmt.Errorf("%w: the node is stopping", prompt.ErrLost) }

// textOf is what a token is shown as: its bytes, or its name.
func (e *Engine) textOf(id int32) []byte {
	if b := e.cfg.Tokenizer.Bytes(id); len(b) > 0 {
		return b
	}
	return []byte(e.cfg.Tokenizer.Mark(id))
}

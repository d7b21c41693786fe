package entry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// errStalled is the cause with which a silent peer's attempt is cancelled.
var errStalled = errors.New("it sent nothing for too long")

// attempt tries the answer at one gating node. It returns nil when the answer
// is complete or the consumer left.
func (a *answer) attempt(ctx context.Context, peer string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := a.watch(peer, cancel)
	defer watch.Stop()

	request := a.request
	request.Prefix = slices.Clip(a.tokens) // later tokens go to another array or past its end
	check := checker{request: request}
	a.draftsBefore = a.drafts
	for c, err := range a.completer(peer).Complete(ctx, request) {
		watch.Stop() // a slow consumer is not the peer's fault
		if err != nil {
			return blame(ctx, err)
		}
		if err := check.chunk(c); err != nil {
			return err
		}
		c.Gate, c.Failovers = peer, a.failovers
		if peer == "" {
			c.Gate = a.entry.cfg.Self
		}
		if !a.deliver(c) || c.Finish != prompt.FinishNone || len(a.tokens) == a.request.MaxTokens {
			a.entry.failed.forget(failureKey{peer, a.request.Model})
			return nil
		}
		if peer != "" {
			watch.Reset(a.entry.cfg.Policy.NextToken)
		}
	}
	return blame(ctx, fmt.Errorf("%w: the answer broke off after %d tokens", prompt.ErrLost, len(a.tokens)))
}

// deliver hands a chunk to the consumer and tells whether it wants more. The
// token that uses up MaxTokens ends the answer here, whatever the gating node
// would still say or fail to say.
func (a *answer) deliver(c prompt.Chunk) bool {
	if a.lost {
		a.entry.failovers.Add(1)
		a.lost = false
	}
	if a.promptTokens == 0 {
		a.promptTokens = c.PromptTokens
	}
	c.PromptTokens = a.promptTokens // a lie of the second node must not show in an answer of the first
	c.Cached = min(max(c.Cached, 0), a.promptTokens)
	// The answer's drafts are those of all who worked on it.
	c.Drafts.Drafted += a.draftsBefore.Drafted
	c.Drafts.Accepted += a.draftsBefore.Accepted
	a.drafts = c.Drafts
	if c.HasToken {
		a.tokens = append(a.tokens, c.Token)
		a.entry.tokens.Add(1)
		if len(a.tokens) == a.request.MaxTokens && c.Finish == prompt.FinishNone {
			c.Finish = prompt.FinishLength
		}
	}
	more := a.yield(c, nil)
	a.left = !more && c.Finish == prompt.FinishNone
	return more
}

// watch cancels the attempt when the peer stays silent. This node itself is
// trusted to report its own troubles.
func (a *answer) watch(peer string, cancel context.CancelCauseFunc) *time.Timer {
	t := time.AfterFunc(a.entry.cfg.Policy.FirstToken, func() { cancel(errStalled) })
	if peer == "" {
		t.Stop()
	}
	return t
}

// blame is err, unless the attempt was cancelled because the peer was silent.
func blame(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("%w: %w", prompt.ErrLost, errStalled)
	}
	return err
}

func (a *answer) completer(peer string) prompt.Completer {
	if peer == "" {
		return a.entry.cfg.Local
	}
	return a.entry.cfg.Remote(peer)
}

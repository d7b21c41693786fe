package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/gating/draft"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// sequence is one prompt on its way to an answer.
type sequence struct {
	// Fixed once made. The context is that of the caller of Complete; it
	// travels with the sequence because its end has to reach the goroutine
	// that runs the sequence.
	ctx     context.Context
	user    string
	drawing *drawing // Run's goroutine alone, from push on
	pool    *pool    // nil: tokens are wanted, not the mean of hidden states
	thinks  bool     // the prompt ends inside the model's reasoning
	share   float32  // of each row's gate mass that may be left out
	prompt  int      // tokens of the prompt, the first of ids
	limit   int      // tokens at which the answer ends with FinishLength

	// Run's goroutine alone, from push on.
	ids   []int32 // prompt, then answer
	fed   int     // how many of ids the trunk has seen
	drawn int     // how many of ids were drawn here
	// dropped is what was left out since the last token was drawn.
	dropped prompt.Dropped
	inexact bool     // anything was ever left out
	trace   *tracing // nil: nobody asks
	slot    int
	bytes   int64 // of memory for keys and values
	cached  int   // tokens of the prompt that were kept from an earlier answer
	flying  bool  // in a step under way
	joined  time.Time

	// What may follow, and how much of that is in the step at hand.
	lookup     *draft.Lookup     // nil before the first look
	acceptance *draft.Acceptance // nil before the first look
	proposal   draft.Proposal
	chances    []float64
	guess      *guess        // nil before the small model was asked
	guessed    bool          // the proposal is the small model's
	draft      []int32       // the part of the proposal that is sent
	drafts     prompt.Drafts // of the answer so far

	// tokens carries the answer to Complete. It has room for all of it, so
	// that sending never blocks. It is closed at the end; finish and err are
	// written before that and say why.
	tokens chan drawn
	finish prompt.Finish
	err    error
}

// drawn is one token on its way to the reader.
type drawn struct {
	pick
	embedding []float32
	dropped   prompt.Dropped
	drafts    prompt.Drafts
	cached    int
	trace     *prompt.Trace
}

// maxBytesPerToken bounds the length of a text that is worth tokenising: a
// longer one does not fit the context. Prose has about 4 bytes to a token and
// source code 3; only long runs of one character come near 32.
const maxBytesPerToken = 32

// newSequence checks a request and tokenises it.
func (e *Engine) newSequence(ctx context.Context, r prompt.Request) (*sequence, error) {
	if r.Model != e.cfg.Model {
		return nil, fmt.Errorf("%w: asked for %s, this engine runs %s", prompt.ErrUnknownModel, r.Model.Short(), e.cfg.Model.Short())
	}
	if r.MaxTokens < 1 {
		return nil, fmt.Errorf("%w: at most %d tokens asked for; ask for at least 1", prompt.ErrBadRequest, r.MaxTokens)
	}
	if err := checkSampling(r.Sampling); err != nil {
		return nil, err
	}
	if !(r.BestEffort >= 0 && r.BestEffort <= 1) {
		return nil, fmt.Errorf("%w: a best-effort share of %v; give a number from 0 (exact) to 1", prompt.ErrBadRequest, r.BestEffort)
	}
	text, err := e.text(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(text)/maxBytesPerToken > e.cfg.Context {
		return nil, fmt.Errorf("%w: the prompt has %d bytes, far more than the %d tokens of this model's context; shorten it", prompt.ErrBadRequest, len(text), e.cfg.Context)
	}
	ids, err := e.cfg.Tokenizer.Encode(text, true)
	if err != nil {
		return nil, fmt.Errorf("%w: the prompt cannot be tokenised: %w", prompt.ErrBadRequest, err)
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("%w: the prompt is empty; write at least one character", prompt.ErrBadRequest)
	case len(ids) >= e.cfg.Context:
		return nil, fmt.Errorf("%w: the prompt has %d tokens, and this model's context holds %d, prompt and answer together; shorten it", prompt.ErrBadRequest, len(ids), e.cfg.Context)
	case len(ids) >= e.cfg.room:
		return nil, fmt.Errorf("%w: the prompt has %d tokens, and this node has memory for %d, prompt and answer together; shorten it, ask another node, or start this one with more --kv-memory", prompt.ErrBadRequest, len(ids), e.cfg.room)
	}
	s := &sequence{ctx: ctx, user: r.User, share: r.BestEffort,
		thinks: r.Chat != nil && strings.HasSuffix(strings.TrimRight(text, "\n "), prompt.ThinkBegin), prompt: len(ids),
	}
	if r.Task == prompt.TaskEmbed {
		s.pool = &pool{}
	} else if r.Trace && r.BestEffort == 0 {
		s.trace = &tracing{per: len(e.cfg.Sparse) * e.cfg.TopK, greedy: r.Greedy()}
	}
	s.limit = s.prompt + min(r.MaxTokens, e.cfg.room-s.prompt)
	s.ids = append(ids, r.Prefix...)
	for i, id := range s.ids {
		if id < 0 || int(id) >= e.cfg.Vocab {
			return nil, fmt.Errorf("%w: token %d (number %d of prompt and prefix) is not in this model's vocabulary of %d; is the prefix from another model?", prompt.ErrBadRequest, id, i, e.cfg.Vocab)
		}
	}
	if s.drawing, err = e.newDrawing(r, s.thinks); err != nil {
		return nil, err
	}
	if n := len(r.Prefix); n > 0 && e.cfg.Tokenizer.EndsText(r.Prefix[n-1]) {
		s.finish = prompt.FinishStop
	} else if len(s.ids) >= s.limit {
		s.finish = prompt.FinishLength
	} else {
		s.tokens = make(chan drawn, s.limit-len(s.ids))
	}
	return s, nil
}

// text is the prompt's text: the user's own, or a conversation's.
func (e *Engine) text(ctx context.Context, r prompt.Request) (string, error) {
	switch {
	case r.Chat == nil:
		return r.Text, nil
	case e.cfg.Chat == nil:
		return "", fmt.Errorf("%w: this gating node completes texts only, not conversations", prompt.ErrBadRequest)
	case len(r.Chat.Messages) == 0:
		return "", fmt.Errorf("%w: the conversation has no message", prompt.ErrBadRequest)
	}
	return e.cfg.Chat.Render(ctx, r.Chat)
}

func checkSampling(p prompt.Sampling) error {
	in := func(x, from, to float32) bool { return x >= from && x <= to } // false for NaN
	switch {
	case !in(p.Temperature, 0, math.MaxFloat32):
		return fmt.Errorf("%w: temperature is %v; give 0 (greedy) or a positive number", prompt.ErrBadRequest, p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("%w: top-k is %d; give 0 (all tokens) or a positive number", prompt.ErrBadRequest, p.TopK)
	case !in(p.TopP, 0, 1):
		return fmt.Errorf("%w: top-p is %v; give a number from 0 to 1", prompt.ErrBadRequest, p.TopP)
	case !in(p.MinP, 0, 1):
		return fmt.Errorf("%w: min-p is %v; give a number from 0 to 1", prompt.ErrBadRequest, p.MinP)
	case !in(p.FrequencyPenalty, -maxPenalty, maxPenalty) || !in(p.PresencePenalty, -maxPenalty, maxPenalty):
		return fmt.Errorf("%w: frequency penalty %v, presence penalty %v; give numbers from %v to %v", prompt.ErrBadRequest, p.FrequencyPenalty, p.PresencePenalty, -maxPenalty, maxPenalty)
	case slices.ContainsFunc(p.Bias, func(b prompt.Bias) bool { return !in(b.Add, -maxPenalty, maxPenalty) }):
		return fmt.Errorf("%w: a bias is not between %v and %v", prompt.ErrBadRequest, -maxPenalty, maxPenalty)
	case p.RepeatPenalty != 0 && !in(p.RepeatPenalty, minPenalty, maxPenalty):
		return fmt.Errorf("%w: repeat penalty is %v; give 0 (none) or a number from %v to %v", prompt.ErrBadRequest, p.RepeatPenalty, minPenalty, maxPenalty)
	}
	return nil
}

// The penalties in use are from 1 to 2, below 1 to invite repetition. These
// bounds only keep logits finite.
const (
	minPenalty = 1e-3
	maxPenalty = 1e3
)

// pending is the number of tokens that the trunk has not seen.
func (s *sequence) pending() int { return len(s.ids) - s.fed }

// end closes the sequence for its reader.
func (s *sequence) end(f prompt.Finish, err error) {
	s.finish, s.err = f, err
	close(s.tokens)
}

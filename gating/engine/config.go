package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/grammar"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
)

// Forwarder runs steps one at a time. *trunk.Lane is one. A goroutine has it
// for a step; several work side by side.
type Forwarder interface {
	// Forward returns the logits of the rows that the step asks for, as
	// (len(s.Logits), vocabulary). They belong to the engine until the next
	// call; it writes to them. After an error the same step may be run again.
	// An error that wraps expert.ErrNoHolder says which experts are missing.
	Forward(ctx context.Context, s trunk.Step) (expert.Batch, error)
	// Hidden gives the hidden states that the last step was asked for,
	// (len(s.Hidden), width), until the next call.
	Hidden() expert.Batch
	// Spent says how long the last step computed, and how long it waited for
	// experts.
	Spent() (compute, experts time.Duration)
}

// Slots are where keys and values are kept. *trunk.Trunk is one. No step has
// the slots that it is called with.
type Slots interface {
	// Release forgets what a slot holds.
	Release(slot int)
	// Copy gives slot to the first n positions of slot from, or as many as
	// there are, and returns how many.
	Copy(from, to, n int) int
	// Bytes is the memory that a slot of n positions takes.
	Bytes(n int) int64
}

// Tokenizer is what the engine needs of a tokenizer. *tokenizer.Tokenizer is
// one. Several goroutines use it at once.
type Tokenizer interface {
	Encode(text string, special bool) ([]int32, error)
	Bytes(id int32) []byte
	EndsText(id int32) bool
	// Mark is the text of a control token, which has no bytes.
	Mark(id int32) string
}

// Renderer makes prompts of conversations. *chat.Renderer is one.
type Renderer interface {
	// Render's errors wrap prompt.ErrBadRequest.
	Render(ctx context.Context, c *prompt.Chat) (string, error)
	Tools() prompt.ToolSyntax
	// ForcedCall is the grammar of an answer that has to be a tool call. thinks
	// says that the prompt ends inside reasoning, which may then go on before.
	ForcedCall(c *prompt.Chat, thinks bool) (*grammar.Grammar, error)
}

// Config is what an engine is made of. Zero numbers take the default.
type Config struct {
	Model     expert.ModelID   // the only one it completes prompts for
	NewLane   func() Forwarder // for each step that is under way beside others
	Slots     Slots
	Tokenizer Tokenizer
	// Watch is called before each step. The step runs in the context that it
	// returns; settle is called before tokens are drawn. When settle fails, an
	// expert's result in the step was wrong, and the step is run again. May be
	// nil.
	Watch func(ctx context.Context) (step context.Context, settle func(context.Context) error)
	// Away says how long a step lately waited for the network, all layers
	// together and without what holders compute. The longer, the more groups
	// of sequences advance out of phase. nil: never, all experts are at home.
	Away func() time.Duration
	Chat Renderer // nil: conversations are refused
	// Sparse lists the layers with experts, of which each row chooses TopK: for
	// requests that want a trace.
	Sparse  []int
	TopK    int
	Vocab   int // logits per row
	Context int // tokens a sequence may have, prompt and answer together

	// Memory bounds what keys and values take, in bytes, those kept of
	// earlier answers included; 0: no bound. An answer ends when it alone has
	// used it up.
	Memory int64
	// MaxRunning is the number of sequences that advance together. More of
	// them make better use of each round to the experts; each needs memory
	// for its keys and values.
	MaxRunning int
	// MaxWaiting is the number of prompts that may wait for a slot. Beyond
	// it a prompt is refused with prompt.ErrBusy. Longer queues only turn a
	// quick refusal, which another gating node can make good, into a wait.
	MaxWaiting int
	// PrefillChunk is the number of rows of prompts in one step. Larger ones
	// make prefill more efficient, smaller ones keep the answers that are
	// being decoded from stalling while a prompt is read.
	PrefillChunk int
	// MaxRows bounds the rows of a step, and with it the trunk's scratch
	// memory. It is more than MaxRunning, so that no answer ever waits for
	// its row and prompts always advance.
	MaxRows int
	// Drafts is how many tokens ahead of their time a sequence brings to a
	// step: as many as pay (0), none (below 0), or always so many, whatever
	// they cost. The answers are the same.
	Drafts int
	// Small drafts where looking back finds nothing. nil: nobody does.
	Small *Small

	// Groups is in how many groups sequences decode, always, to compare with; 0: in as
	// many as are best.
	Groups int

	Log *slog.Logger // nil: none

	room int // tokens that there is context and memory for
}

// The defaults.
const (
	// 16 rows of top-8 out of 64 to 128 experts make the calls of a layer
	// share most of the experts they need; more gains little on small nodes.
	defaultRunning = 16
	// Four waiting for each running: at some ten seconds for an answer the
	// last one waits less than a minute.
	defaultWaiting = 4 * defaultRunning
	// From some 256 rows on, matrix products no longer gain by more rows,
	// and on two cores of a small machine a step stays below a second.
	defaultChunk = 256
)

func (c Config) validate() (Config, error) {
	if c.NewLane == nil || c.Slots == nil || c.Tokenizer == nil {
		return c, errors.New("engine: NewLane, Slots and Tokenizer are required")
	}
	if c.Vocab < 1 || c.Context < 2 {
		return c, fmt.Errorf("engine: vocabulary of %d and context of %d tokens, want at least 1 and 2", c.Vocab, c.Context)
	}
	if s := c.Small; s != nil && (s.Lane == nil || s.Slots == nil || s.Vocab < 1 || s.Context < 1) {
		return c, errors.New("engine: the small model needs a lane, slots, a vocabulary and a context")
	}
	if c.Drafts > MaxDrafts {
		return c, fmt.Errorf("engine: drafts of %d tokens, want %d at most", c.Drafts, MaxDrafts)
	}
	for _, n := range []*int{&c.MaxRunning, &c.MaxWaiting, &c.PrefillChunk, &c.MaxRows} {
		if *n < 0 {
			return c, fmt.Errorf("engine: a limit is %d, want 0 (default) or more", *n)
		}
	}
	fill := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	fill(&c.MaxRunning, defaultRunning)
	fill(&c.MaxWaiting, defaultWaiting)
	fill(&c.PrefillChunk, defaultChunk)
	fill(&c.MaxRows, c.MaxRunning+c.PrefillChunk)
	if c.MaxRows <= c.MaxRunning {
		return c, fmt.Errorf("engine: MaxRows is %d, want more than MaxRunning (%d)", c.MaxRows, c.MaxRunning)
	}
	if c.Memory < 0 {
		return c, fmt.Errorf("engine: %d bytes of memory for keys and values, want 0 (no bound) or more", c.Memory)
	}
	c.room = c.Context
	if c.Memory > 0 {
		if c.room = capacity(c.Slots, c.Memory, c.Context); c.room < 2 {
			return c, fmt.Errorf("engine: %d bytes hold the keys and values of no prompt; one token takes %d", c.Memory, c.Slots.Bytes(1))
		}
	}
	if c.Watch == nil {
		c.Watch = func(ctx context.Context) (context.Context, func(context.Context) error) {
			return ctx, func(context.Context) error { return nil }
		}
	}
	if c.Away == nil {
		c.Away = func() time.Duration { return 0 }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

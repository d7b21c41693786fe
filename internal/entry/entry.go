package entry

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Entry is a prompt.Completer over this node and its gating peers.
type Entry struct {
	cfg    Config // constant after New
	failed failures

	answers, errors, failovers, tokens atomic.Uint64
}

// Stats counts what an [Entry] did since it was made.
type Stats struct {
	Answers   uint64 `json:"answers"`   // answers that reached their end
	Errors    uint64 `json:"errors"`    // answers that ended with an error
	Failovers uint64 `json:"failovers"` // attempts that carried on what another had lost
	Tokens    uint64 `json:"tokens"`    // tokens delivered
}

// New checks the configuration and fills defaults.
func New(cfg Config) (*Entry, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Entry{cfg: cfg, failed: failures{keep: cfg.Policy.FailedFor}}, nil
}

// Stats gives the counts so far. The counts are read one by one, so an answer
// under way may show in some and not yet in others.
func (e *Entry) Stats() Stats {
	return Stats{
		Answers:   e.answers.Load(),
		Errors:    e.errors.Load(),
		Failovers: e.failovers.Load(),
		Tokens:    e.tokens.Load(),
	}
}

// Complete implements prompt.Completer. The sequence ends with an error that
// wraps prompt.ErrBadRequest, ErrNoGate, ErrBusy, ErrMissingExperts or
// ErrLost, with the cause of ctx's end, or with what the last gating node
// reported. Ranging again begins a new answer.
func (e *Entry) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		if err := checkRequest(r); err != nil {
			e.errors.Add(1)
			yield(prompt.Chunk{}, err)
			return
		}
		a := &answer{
			entry:   e,
			request: r,
			yield:   yield,
			tokens:  slices.Clone(r.Prefix),
			delay:   e.cfg.Policy.Delay,
		}
		defer a.endLookup()
		switch err := a.run(ctx); {
		case a.left: // the consumer stopped ranging, so yield is over
		case err != nil && ctx.Err() != nil:
			yield(prompt.Chunk{}, context.Cause(ctx))
		case err != nil:
			e.errors.Add(1)
			yield(prompt.Chunk{}, err)
		default:
			e.answers.Add(1)
		}
	}
}

// checkRequest refuses what the bookkeeping of an answer cannot carry. All
// else is the gating node's to judge.
func checkRequest(r prompt.Request) error {
	if r.MaxTokens <= len(r.Prefix) {
		return fmt.Errorf("%w: MaxTokens is %d, which the %d tokens of the prefix use up", prompt.ErrBadRequest, r.MaxTokens, len(r.Prefix))
	}
	return nil
}

package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/gating/grammar"
)

// Engine completes prompts with one model.
type Engine struct {
	cfg   Config
	queue *queue
	began atomic.Bool // Run was called
	// vocabulary is the tokens by their bytes; made when the first grammar
	// comes, since most engines never see one.
	vocabulary func() *grammar.Vocabulary

	running                   atomic.Int64
	prefilled, decoded, steps atomic.Uint64
	drafted, accepted         atomic.Uint64
	reused, suspended         atomic.Uint64
	pace                      pace
}

// New checks the configuration. The engine works once Run is called.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	vocabulary := sync.OnceValue(func() *grammar.Vocabulary {
		return grammar.NewVocabulary(cfg.Vocab, cfg.Tokenizer.Bytes, cfg.Tokenizer.Mark, cfg.Tokenizer.EndsText)
	})
	return &Engine{cfg: cfg, vocabulary: vocabulary, queue: newQueue(cfg.MaxRunning + cfg.MaxWaiting)}, nil
}

// Stats counts what an engine does.
type Stats struct {
	Running, Waiting int    // sequences now
	Prefilled        uint64 // tokens of prompts and prefixes that went through the trunk
	Decoded          uint64 // tokens drawn
	Steps            uint64 // passes over the trunk
	Drafted          uint64 // tokens that steps had ahead of their time
	Accepted         uint64 // how many of them were right
	Reused           uint64 // tokens of prompts that were kept from an earlier answer
	Suspended        uint64 // sequences that lost their memory to older ones and began again
}

// Stats may be called at any time.
func (e *Engine) Stats() Stats {
	return Stats{
		Running: int(e.running.Load()), Waiting: e.queue.len(),
		Prefilled: e.prefilled.Load(), Decoded: e.decoded.Load(), Steps: e.steps.Load(),
		Drafted: e.drafted.Load(), Accepted: e.accepted.Load(),
		Reused: e.reused.Load(), Suspended: e.suspended.Load(),
	}
}

// Run advances sequences until ctx ends, then ends those left with
// prompt.ErrLost, so that whoever sent them replays them elsewhere, and
// returns nil. It can be called once.
func (e *Engine) Run(ctx context.Context) error {
	if e.began.Swap(true) {
		return errors.New("engine: Run was called before")
	}
	l := newLoop(e)
	defer l.stop()
	for ctx.Err() == nil {
		l.turn(ctx)
	}
	return nil
}

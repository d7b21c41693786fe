package node

import (
	"context"
	"fmt"
	"iter"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// gates is the engines of the models this node gates, as one completer. It is
// filled while the node is built and constant afterwards.
type gates map[expert.ModelID]*engine.Engine

// Complete hands the request to its model's engine.
func (g gates) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	if e := g[r.Model]; e != nil {
		return e.Complete(ctx, r)
	}
	return func(yield func(prompt.Chunk, error) bool) {
		yield(prompt.Chunk{}, fmt.Errorf("%w: %s", prompt.ErrUnknownModel, r.Model.Short()))
	}
}

func (g gates) has(m expert.ModelID) bool { return g[m] != nil }

// newEngine builds the gating stack of one model over an applier of experts.
func newEngine(m Model, applier expert.Applier, pool *ggml.Pool, settle func(context.Context) error, cfg Config) (*engine.Engine, error) {
	layer, err := gating.NewLayer(gating.Config{
		Model: m.Model.ID(), TopK: m.Model.TopK(), Applier: applier, PartialSums: cfg.PartialSums,
	})
	if err != nil {
		return nil, err
	}
	t, err := trunk.New(trunk.Config{Model: m.Model, Mixer: layer, Pool: pool})
	if err != nil {
		return nil, err
	}
	tok, err := tokenizer.New(m.Model.File())
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.Name, err)
	}
	return engine.New(engine.Config{
		Model: m.Model.ID(), Forwarder: t, Tokenizer: tok, Settle: settle,
		Vocab: m.Model.Shape().Vocab, Context: m.Model.Shape().Context,
		MaxRunning: cfg.Answers, Log: cfg.Log,
	})
}

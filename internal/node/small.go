package node

import (
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/engine"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// newSmall makes a small model that drafts for m, all of it here. It must have
// m's vocabulary, or its tokens would mean something else.
func newSmall(m Model, tok *tokenizer.Tokenizer, draft Model, pool *ggml.Pool) (*engine.Small, error) {
	own, err := tokenizer.New(draft.Model.File())
	if err != nil {
		return nil, fmt.Errorf("draft model %s: %w", draft.Name, err)
	}
	if err := tokenizer.Agree(tok, own); err != nil {
		return nil, fmt.Errorf("model %s cannot draft for %s, they were not made for each other: %w; give --draft a small model with the same vocabulary", draft.Name, m.Name, err)
	}
	cfg := trunk.Config{Model: draft.Model, Pool: pool}
	if draft.Model.Experts() > 0 {
		set, err := expert.NewSet(draft.Model, draft.Model.Manifest().IDs(), pool)
		if err != nil {
			return nil, err
		}
		if cfg.Mixer, err = gating.NewLayer(gating.Config{Model: draft.Model.ID(), Rule: gating.RuleOf(draft.Model), Applier: set}); err != nil {
			return nil, err
		}
	}
	t, err := trunk.New(cfg)
	if err != nil {
		return nil, err
	}
	shape := draft.Model.Shape()
	return &engine.Small{Lane: t.NewLane(), Slots: t, Vocab: shape.Vocab, Context: shape.Context}, nil
}

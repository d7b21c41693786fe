package transcript

import (
	"context"
	"encoding/binary"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// selfTestRows is the length of a model's public prompt.
const selfTestRows = 32

// SelfTest runs the public prompt of a model, tokens that follow from its id, and
// takes the fingerprint of all its hidden states: what gates show the ledger with
// their heartbeats, see ledger.SameMarks. It tells a wrong file, a broken disk or
// kernels that compute something else; not a liar, who can copy it.
func SelfTest(ctx context.Context, cfg Config) (Fingerprint, error) {
	layer, err := gating.NewLayer(gating.Config{Model: cfg.Model.ID(), Rule: gating.RuleOf(cfg.Model), Applier: cfg.Applier})
	if err != nil {
		return nil, err
	}
	tr, err := trunk.New(trunk.Config{Model: cfg.Model, Mixer: layer, Pool: cfg.Pool})
	if err != nil {
		return nil, err
	}
	s := trunk.Step{Tokens: publicPrompt(cfg.Model.ID(), cfg.Model.Shape().Vocab)}
	for at := range s.Tokens {
		s.Positions, s.Slots, s.Hidden = append(s.Positions, at), append(s.Slots, 0), append(s.Hidden, at)
	}
	lane := tr.NewLane()
	if _, err := lane.Forward(ctx, s); err != nil {
		return nil, err
	}
	return Take(lane.Hidden().Data), nil
}

func publicPrompt(id expert.ModelID, vocab int) []int32 {
	ids := make([]int32, selfTestRows)
	for i := range ids {
		h := ledger.Sum([]byte("self-test"), id[:], []byte{byte(i)})
		ids[i] = int32(binary.BigEndian.Uint64(h[:]) % uint64(vocab))
	}
	return ids
}

package gating

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// Config of a [Layer].
type Config struct {
	Model   expert.ModelID
	Rule    Rule
	Applier expert.Applier
	// PartialSums asks holders for the gate-weighted sum over the experts
	// they hold, instead of one result per expert. It saves bytes, but the
	// last bits then depend on who holds what. It needs an Applier that is
	// an [expert.Summer].
	PartialSums bool
}

// Layer runs the sparse part of a model's layers: it is the trunk's mixer.
type Layer struct {
	cfg Config
	sum expert.Summer // nil: exact
}

// NewLayer checks the configuration.
func NewLayer(cfg Config) (*Layer, error) {
	if cfg.Applier == nil {
		return nil, errors.New("gating: no applier")
	}
	if cfg.Rule.TopK < 1 {
		return nil, fmt.Errorf("gating: top-k of %d; at least 1", cfg.Rule.TopK)
	}
	l := &Layer{cfg: cfg}
	if cfg.PartialSums {
		s, ok := cfg.Applier.(expert.Summer)
		if !ok {
			return nil, errors.New("gating: partial sums asked of an applier that cannot sum")
		}
		l.sum = s
	}
	return l, nil
}

// Mix applies to each row of h the experts that its row of scores chooses, and
// returns their weighted sum in h's shape. h is (Rows, Dim), scores (Rows,
// Experts). It fails when any expert fails: none is ever left out, but for
// rows whose [BestEffort] the context carries. Partial sums are always whole,
// since a sum cannot tell what it left out.
func (l *Layer) Mix(ctx context.Context, layer int, h, scores expert.Batch) (expert.Batch, error) {
	calls := Calls(l.cfg.Model, layer, l.cfg.Rule.Pick(layer, scores))
	if l.sum != nil {
		return l.sum.Sum(ctx, h, calls)
	}
	effort := bestEffort(ctx)
	if effort == nil {
		return Combine(h, calls, l.cfg.Applier.Apply(ctx, h, calls))
	}
	effort.mark(h.Rows, calls)
	out, dropped, err := CombineLeaving(h, calls, l.cfg.Applier.Apply(ctx, h, calls))
	effort.add(dropped)
	return out, err
}

// Calls makes one call of each pick.
func Calls(model expert.ModelID, layer int, picks []Pick) []expert.Call {
	calls := make([]expert.Call, len(picks))
	for i, p := range picks {
		calls[i] = expert.Call{
			Expert: expert.ID{Model: model, Layer: uint16(layer), Index: p.Expert},
			Rows:   p.Rows, Weights: p.Weights,
		}
	}
	return calls
}

// Combine adds up weight × result per row, in the order of the calls, which is
// the order of the experts' indices. Results of a wrong shape, or failed ones,
// fail the whole.
func Combine(h expert.Batch, calls []expert.Call, results []expert.Result) (expert.Batch, error) {
	if len(results) != len(calls) {
		return expert.Batch{}, fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(results), len(calls))
	}
	for i, r := range results {
		if r.Err != nil {
			return expert.Batch{}, r.Err
		}
		if r.Out.Rows != len(calls[i].Rows) || r.Out.Dim != h.Dim || len(r.Out.Data) != r.Out.Rows*r.Out.Dim {
			return expert.Batch{}, fmt.Errorf("%w: %v gave (%d, %d), want (%d, %d)", expert.ErrBadResult,
				calls[i].Expert, r.Out.Rows, r.Out.Dim, len(calls[i].Rows), h.Dim)
		}
	}
	return expert.SumResults(h, calls, results)
}

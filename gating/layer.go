package gating

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	cfg   Config
	sum   expert.Summer // nil: exact
	spare sync.Pool     // *mixing, between two calls of Mix
}

// mixing is what one call of Mix works with. It is reused, so that Mix
// allocates nothing where the Applier does not.
type mixing struct {
	picker picker
	calls  []expert.Call
	room   expert.Room
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
	l.spare.New = func() any { return new(mixing) }
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
// writes their weighted sum to out, which has h's shape. h is (Rows, Dim), scores
// (Rows, Experts). It fails when any expert fails: none is ever left out, but for
// rows whose [BestEffort] the context carries. Partial sums are always whole,
// since a sum cannot tell what it left out.
func (l *Layer) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	if out.Rows != h.Rows || out.Dim != h.Dim || len(out.Data) != len(h.Data) {
		return fmt.Errorf("gating: rows of (%d, %d) to be mixed into (%d, %d)", h.Rows, h.Dim, out.Rows, out.Dim)
	}
	m := l.spare.Get().(*mixing)
	defer l.spare.Put(m)
	m.calls = appendCalls(m.calls[:0], l.cfg.Model, layer, m.picker.pick(&l.cfg.Rule, layer, scores))
	n := notesOf(ctx)
	if n.trace != nil {
		n.trace.note(layer, expert.FirstRow(ctx), h.Rows, m.calls)
	}
	if l.sum != nil {
		sum, err := l.sum.Sum(ctx, h, m.calls)
		if err == nil {
			copy(out.Data, sum.Data)
		}
		return err
	}
	effort := n.effort
	if !effort.lenient() {
		return Combine(out, m.calls, expert.ApplyIn(ctx, l.cfg.Applier, h, m.calls, &m.room))
	}
	effort.mark(h.Rows, m.calls)
	dropped, err := CombineLeaving(out, m.calls, expert.ApplyIn(ctx, l.cfg.Applier, h, m.calls, &m.room))
	effort.add(dropped)
	return err
}

// Calls makes one call of each pick.
func Calls(model expert.ModelID, layer int, picks []Pick) []expert.Call {
	return appendCalls(make([]expert.Call, 0, len(picks)), model, layer, picks)
}

func appendCalls(calls []expert.Call, model expert.ModelID, layer int, picks []Pick) []expert.Call {
	for _, p := range picks {
		calls = append(calls, expert.Call{
			Expert: expert.ID{Model: model, Layer: uint16(layer), Index: p.Expert},
			Rows:   p.Rows, Weights: p.Weights,
		})
	}
	return calls
}

// Combine adds up weight × result per row into out, in the order of the calls,
// which is the order of the experts' indices. Results of a wrong shape, or failed
// ones, fail the whole; then out holds nothing of use.
func Combine(out expert.Batch, calls []expert.Call, results []expert.Result) error {
	if len(results) != len(calls) {
		return fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(results), len(calls))
	}
	for i, r := range results {
		if r.Err != nil {
			return r.Err
		}
		if r.Out.Rows != len(calls[i].Rows) || r.Out.Dim != out.Dim || len(r.Out.Data) != r.Out.Rows*r.Out.Dim {
			return fmt.Errorf("%w: %v gave (%d, %d), want (%d, %d)", expert.ErrBadResult,
				calls[i].Expert, r.Out.Rows, r.Out.Dim, len(calls[i].Rows), out.Dim)
		}
	}
	return expert.SumInto(out, calls, results)
}

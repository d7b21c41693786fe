package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Weights finds the experts of a model on this node, nil when there are none.
// The set may hold experts that the node serves to nobody: a gating node has
// the whole file.
type Weights func(expert.ModelID) *expert.Set

// set finds the set that holds all experts of the case.
func (w Weights) set(c *Case) (*expert.Set, error) {
	s := w(c.model())
	if s == nil {
		return nil, fmt.Errorf("%w: the weights are not here", ErrUnable)
	}
	for _, call := range c.Calls {
		if !s.Holds(call.Expert) {
			return nil, fmt.Errorf("%w: the weights of %v are not here", ErrUnable, call.Expert)
		}
	}
	return s, nil
}

// referenceRows bounds the rows that are computed in plain Go: one costs some
// milliseconds.
const referenceRows = 8

// Recompute does the work again with this node's own kernels. A peer that
// computes with other numbers than those, as honest ones may, is compared in
// plain Go with each kind of arithmetic that honest computers use.
type Recompute struct {
	Weights    Weights
	Tolerances Tolerances
}

// Quiet implements [Auditor].
func (Recompute) Quiet() bool { return true }

// Name implements [Auditor].
func (Recompute) Name() string { return "recompute" }

// Audit implements [Auditor]: it looks at every row.
func (a Recompute) Audit(ctx context.Context, c *Case) (Finding, error) {
	set, err := a.Weights.set(c)
	if err != nil {
		return Finding{}, err
	}
	began := time.Now()
	f, err := against(ctx, set, c)
	f.Work = time.Since(began)
	t := a.Tolerances[c.Class]
	if err != nil || f.Worst <= t.Tau || f.Worst > 2*t.Apart { // right, or wrong in any arithmetic
		return f, err
	}
	other, err := Reference{a.Weights}.Audit(ctx, c)
	if err == nil && other.Worst < f.Worst {
		return other, nil
	}
	return f, err
}

// Reference does the work again in plain Go: another program than the kernels,
// that a fault in those does not touch. It compares with each arithmetic that
// honest computers use and takes the nearest.
type Reference struct{ Weights Weights }

// Quiet implements [Auditor].
func (Reference) Quiet() bool { return true }

// Name implements [Auditor].
func (Reference) Name() string { return "reference" }

// Audit implements [Auditor]: it looks at the rows that a recomputation finds
// worst, some only.
func (a Reference) Audit(ctx context.Context, c *Case) (Finding, error) {
	set, err := a.Weights.set(c)
	if err != nil {
		return Finding{}, err
	}
	if picks := c.allPicks(); len(picks) > referenceRows {
		if picks, err = worst(ctx, set, c, picks, referenceRows); err != nil {
			return Finding{}, err
		}
		c = c.only(picks)
	}
	best := Finding{Worst: math.Inf(1)}
	for how := range known {
		f, err := against(ctx, plain{set: set, round: how}, c)
		if err != nil {
			return Finding{}, err
		}
		if f.Worst <= best.Worst {
			best = f
		}
	}
	return best, nil
}

// against compares a case with what an applier gives for it.
func against(ctx context.Context, a expert.Applier, c *Case) (Finding, error) {
	which := c.answered()
	calls := make([]expert.Call, len(which))
	for k, i := range which {
		calls[k] = c.Calls[i]
	}
	want := a.Apply(ctx, c.In, calls)
	if len(want) != len(calls) {
		return Finding{}, fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(want), len(calls))
	}
	for _, r := range want {
		if r.Err != nil {
			return Finding{}, r.Err
		}
	}
	f := Finding{Class: c.Class, Same: true}
	if c.Sum != nil {
		sum, err := expert.SumResults(c.In, calls, want)
		if err != nil {
			return Finding{}, err
		}
		compare(&f, *c.Sum, sum, "the sum")
		return f, nil
	}
	for k, i := range which {
		compare(&f, c.Results[i].Out, want[k].Out, c.Calls[i].Expert.String())
	}
	return f, nil
}

// worst picks the rows that differ most from what the kernels give.
func worst(ctx context.Context, set *expert.Set, c *Case, picks []pick, most int) ([]pick, error) {
	out := make([]pick, 0, most)
	errs := make([]float64, 0, most)
	results := set.Apply(ctx, c.In, c.Calls)
	var sum expert.Batch
	if c.Sum != nil {
		var err error
		if sum, err = expert.SumResults(c.In, c.Calls, results); err != nil {
			return nil, err
		}
	}
	for _, p := range picks {
		if results[p.call].Err != nil {
			return nil, results[p.call].Err
		}
		var rel float64
		if c.Sum != nil {
			r := int(c.Calls[p.call].Rows[p.k])
			rel, _ = rowError(c.Sum.Row(r), sum.Row(r))
		} else {
			rel, _ = rowError(c.Results[p.call].Out.Row(p.k), results[p.call].Out.Row(p.k))
		}
		if len(out) < most {
			out, errs = append(out, p), append(errs, rel)
			continue
		}
		least := 0
		for i := range errs {
			if errs[i] < errs[least] {
				least = i
			}
		}
		if rel > errs[least] {
			out[least], errs[least] = p, rel
		}
	}
	return out, nil
}

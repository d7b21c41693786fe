package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Sample is rows for one expert, as a gate sends them.
type Sample struct {
	Expert expert.ID
	In     expert.Batch
}

// Spread is the relative errors that were seen of one way to answer, row by
// row and of projections.
type Spread struct {
	Name       string
	Must       bool      // of a cheat: it has to be found
	Rows       []float64 // ascending: of single rows, against this node's kernels
	Projected  []float64 // ascending: estimates from leastRows rows, pooled
	Difference []float64 // ascending: of single rows, against float64
}

// Quantile is the value below which a share q of sorted values lies.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Measured is what [Measure] saw of one numeric class.
type Measured struct {
	Class  expert.Numeric
	Honest []Spread
	Cheats []Spread
}

// Measure has honest computers and cheats answer samples of experts of one
// class and compares them with this node's kernels and with projections.
func Measure(ctx context.Context, set *expert.Set, piece func(expert.ID) (expert.Piece, bool), samples []Sample, seed uint64) (Measured, error) {
	m := Measured{}
	if len(samples) == 0 {
		return m, fmt.Errorf("audit: nothing to measure")
	}
	for i, s := range samples {
		class := set.Numeric(s.Expert)
		if i > 0 && class != m.Class {
			return m, fmt.Errorf("audit: samples of %v and of %v", m.Class, class)
		}
		m.Class = class
	}
	key := [32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1}
	secrets := newSecrets(key, func(expert.ModelID) *expert.Set { return set }, piece, time.Now)
	block := map[expert.Numeric]int{expert.Float: 0, expert.Blocks32: 32, expert.Blocks256: 256}[m.Class]
	ways := []Cheat{
		{Name: "these kernels", Apply: set.Apply},
		{Name: "plain Go, float64", Apply: plain{set: set}.Apply},
		{Name: "plain Go, 8-bit activations", Apply: plain{set: set, block: block}.Apply},
	}
	honest := len(ways)
	for i, w := range append(ways, Cheats(set, seed)...) {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		s := Spread{Name: w.Name, Must: w.Must}
		for k, sample := range samples {
			if err := s.add(ctx, set, secrets, w, sample, i < honest || k%4 == 0); err != nil {
				return m, fmt.Errorf("%s: %w", w.Name, err)
			}
		}
		slices.Sort(s.Rows)
		slices.Sort(s.Projected)
		slices.Sort(s.Difference)
		if i < honest {
			m.Honest = append(m.Honest, s)
		} else {
			m.Cheats = append(m.Cheats, s)
		}
	}
	return m, nil
}

// add measures one sample. The comparison with float64 takes long and is left
// out unless deep.
func (s *Spread) add(ctx context.Context, set *expert.Set, secrets *secrets, w Cheat, sample Sample, deep bool) error {
	call := expert.Call{Expert: sample.Expert}
	for r := range sample.In.Rows {
		call.Rows = append(call.Rows, int32(r))
	}
	calls := []expert.Call{call}
	got := w.Apply(ctx, sample.In, calls)
	want := set.Apply(ctx, sample.In, calls)
	inner := set.Inner(ctx, sample.In, calls)
	for _, err := range []error{got[0].Err, want[0].Err, inner[0].Err} {
		if err != nil {
			return err
		}
	}
	for r := range sample.In.Rows {
		rel, _ := rowError(got[0].Out.Row(r), want[0].Out.Row(r))
		s.Rows = append(s.Rows, rel)
	}
	if deep {
		exact := plain{set: set}.Apply(ctx, sample.In, calls)
		for r := range sample.In.Rows {
			rel, _ := rowError(got[0].Out.Row(r), exact[0].Out.Row(r))
			s.Difference = append(s.Difference, rel)
		}
	}
	c := &Case{Checked: routing.Checked{In: sample.In, Calls: calls, Results: got}}
	for r := 0; r+leastRows <= sample.In.Rows; r += leastRows {
		var picks []pick
		for k := range leastRows {
			picks = append(picks, pick{0, r + k})
		}
		cut := c.only(picks)
		part, err := secrets.of(cut.Calls)
		if err != nil {
			return err
		}
		sums, err := test(cut, part, routing.Opening{Inner: set.Inner(ctx, cut.In, cut.Calls)})
		if err != nil {
			return err
		}
		est := relative(sums.dDiff/projections, sums.dNorm, leastRows*cut.In.Dim)
		est = max(est, relative(sums.gDiff/projections, sums.gNorm, leastRows*cut.In.Dim))
		est = max(est, relative(sums.uDiff/projections, sums.uNorm, leastRows*cut.In.Dim))
		s.Projected = append(s.Projected, est)
	}
	return nil
}

// Tolerance derives the class's tolerance: honest rows and honest projections
// stay below, cheats that have to be found stay above twice of it.
func (m Measured) Tolerance() (Tolerance, error) {
	var honest float64
	for _, s := range m.Honest {
		honest = max(honest, Quantile(s.Rows, 0.999), Quantile(s.Difference, 0.999), Quantile(s.Projected, 0.999))
	}
	cheat := 1.0
	for _, s := range m.Cheats {
		if s.Must {
			cheat = min(cheat, Quantile(s.Rows, 0.01), Quantile(s.Projected, 0.01))
		}
	}
	return Derive(honest, cheat)
}

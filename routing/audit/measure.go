package audit

import (
	"context"
	"fmt"
	"math"
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

// Spread is the relative errors that auditors see of one way to answer.
type Spread struct {
	Name      string
	Must      bool      // of a cheat: it has to be found
	Rows      []float64 // ascending: of single rows, against the nearest arithmetic
	Projected []float64 // ascending: estimates from leastRows rows, pooled
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
	Apart  []float64 // ascending: between these kernels and the farthest of the other arithmetics, by row
}

// Measure has honest computers and cheats answer samples of experts of one
// class, and looks at the answers as auditors do. The honest ones are these
// kernels, seen by a node that has others, and plain Go with numbers that are
// kept in other ways than auditors compute themselves.
func Measure(ctx context.Context, set *expert.Set, piece func(expert.ID) (expert.Piece, bool), samples []Sample, seed uint64) (Measured, error) {
	m := Measured{}
	if len(samples) == 0 {
		return m, fmt.Errorf("audit: nothing to measure")
	}
	key := [32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1}
	look := &look{set: set, secrets: newSecrets(key, func(expert.ModelID) *expert.Set { return set }, piece, time.Now)}
	honest := []Cheat{
		{Name: "these kernels", Apply: set.Apply},
		{Name: "half precision", Apply: plain{set: set, round: halves}.Apply},
		{Name: "bfloat16", Apply: plain{set: set, round: brains}.Apply},
		{Name: "8 bits per 32, other scale", Apply: plain{set: set, round: per32f}.Apply},
	}
	ways := append(honest, Cheats(set, seed)...)
	spreads := make([]Spread, len(ways))
	for i, s := range samples {
		class := set.Numeric(s.Expert)
		if i > 0 && class != m.Class {
			return m, fmt.Errorf("audit: samples of %v and of %v", m.Class, class)
		}
		m.Class = class
		if err := look.at(ctx, s); err != nil {
			return m, err
		}
		m.Apart = look.apart(m.Apart)
		for k, w := range ways {
			spreads[k].Name, spreads[k].Must = w.Name, w.Must
			if err := look.measure(ctx, &spreads[k], w, k == 0); err != nil {
				return m, fmt.Errorf("%s: %w", w.Name, err)
			}
		}
	}
	for k := range spreads {
		slices.Sort(spreads[k].Rows)
		slices.Sort(spreads[k].Projected)
	}
	slices.Sort(m.Apart)
	m.Honest, m.Cheats = spreads[:len(honest)], spreads[len(honest):]
	return m, nil
}

// look is one sample and what is right for it.
type look struct {
	set     *expert.Set
	secrets *secrets

	sample Sample
	calls  []expert.Call
	right  [known + 1]expert.Batch // in each arithmetic; the last by these kernels
}

func (l *look) at(ctx context.Context, s Sample) error {
	call := expert.Call{Expert: s.Expert}
	for r := range s.In.Rows {
		call.Rows = append(call.Rows, int32(r))
	}
	l.sample, l.calls = s, []expert.Call{call}
	for how := range l.right {
		apply := plain{set: l.set, round: rounding(how)}.Apply
		if how == int(known) {
			apply = l.set.Apply
		}
		got := apply(ctx, s.In, l.calls)[0]
		if got.Err != nil {
			return got.Err
		}
		l.right[how] = got.Out
	}
	return nil
}

// apart adds how far the arithmetics are from each other.
func (l *look) apart(to []float64) []float64 {
	for r := range l.sample.In.Rows {
		var most float64
		for how := range known {
			rel, _ := rowError(l.right[how].Row(r), l.right[known].Row(r))
			most = max(most, rel)
		}
		to = append(to, most)
	}
	return to
}

// measure adds what auditors see of one way to answer the sample. own is set
// for these kernels themselves, which are then seen from a node with others.
func (l *look) measure(ctx context.Context, s *Spread, w Cheat, own bool) error {
	got := w.Apply(ctx, l.sample.In, l.calls)
	if got[0].Err != nil {
		return got[0].Err
	}
	refs := l.right[:]
	if own {
		refs = refs[:known]
	}
	for r := range l.sample.In.Rows {
		least := math.Inf(1)
		for _, right := range refs {
			rel, _ := rowError(got[0].Out.Row(r), right.Row(r))
			least = min(least, rel)
		}
		s.Rows = append(s.Rows, least)
	}
	all := []rounding{asFloats, per32, per256}
	c := &Case{Checked: routing.Checked{In: l.sample.In, Calls: l.calls, Results: got}}
	for r := 0; r+leastRows <= l.sample.In.Rows; r += leastRows {
		var picks []pick
		for k := range leastRows {
			picks = append(picks, pick{0, r + k})
		}
		cut := c.only(picks)
		secrets, err := l.secrets.of(cut.Calls)
		if err != nil {
			return err
		}
		sums, err := test(cut, secrets, routing.Opening{Inner: l.set.Inner(ctx, cut.In, cut.Calls)}, all)
		if err != nil {
			return err
		}
		rel, _ := sums.worst(leastRows*cut.In.Dim, all)
		s.Projected = append(s.Projected, rel)
	}
	return nil
}

// Tolerance derives the class's tolerance: honest rows and honest projections
// stay below, cheats that have to be found stay above twice of it.
func (m Measured) Tolerance() (Tolerance, error) {
	var honest float64
	for _, s := range m.Honest {
		honest = max(honest, Quantile(s.Rows, 0.999))
	}
	// Only of these kernels: the others' inner layers would be theirs.
	honest = max(honest, Quantile(m.Honest[0].Projected, 0.999))
	cheat := 1.0
	for _, s := range m.Cheats {
		if s.Must {
			cheat = min(cheat, Quantile(s.Rows, 0.01), Quantile(s.Projected, 0.01))
		}
	}
	return Derive(honest, cheat, Quantile(m.Apart, 0.999))
}

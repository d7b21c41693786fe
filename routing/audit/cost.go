package audit

import (
	"context"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Cost is what audits of one expert cost this node.
type Cost struct {
	Recompute   time.Duration // a row
	Reference   time.Duration // a row
	Projection  time.Duration // a row, without the network
	Secret      time.Duration // to draw one, once an epoch
	SecretBytes int
	WireBytes   int // a row, both ways
}

// workCost is what the audits of a model's answers cost here, as measured; 0:
// not yet.
type workCost struct {
	recompute, projection time.Duration // of computing, a row
	wait                  time.Duration // for a challenged peer
}

// What is assumed until it is measured: "moeswarm bench tolerance" on an expert
// of 2048 by 1024.
const (
	priorRecompute  = 300 * time.Microsecond
	priorProjection = 25 * time.Microsecond
	priorSecret     = 6 * time.Millisecond
	priorWait       = 20 * time.Millisecond
)

// after is the cost with one audit more taken in.
func (c workCost) after(auditor string, f Finding) workCost {
	if f.Rows <= 0 || f.Work <= 0 {
		return c
	}
	smooth := func(old, seen time.Duration) time.Duration {
		if old == 0 {
			return seen
		}
		return old + (seen-old)/8
	}
	row := f.Work / time.Duration(f.Rows)
	switch auditor {
	case (Recompute{}).Name():
		c.recompute = smooth(c.recompute, row)
	case (*Projection)(nil).Name():
		c.projection, c.wait = smooth(c.projection, row), smooth(c.wait, f.Wait)
	}
	return c
}

// projects says whether a projection is the cheaper audit of so many rows of
// output. Recomputing looks at all of them, a projection at a sample, but
// undrawn secrets have to be made first, each in some time (0: not known), and
// the wait for the peer counts, because a token may wait for the audit.
func (c workCost) projects(rows, undrawn int, each time.Duration) bool {
	or := func(d, prior time.Duration) time.Duration {
		if d == 0 {
			return prior
		}
		return d
	}
	recompute := time.Duration(rows) * or(c.recompute, priorRecompute)
	projection := time.Duration(min(max(rows, leastRows), mostRows))*or(c.projection, priorProjection) + time.Duration(undrawn)*or(each, priorSecret) + or(c.wait, priorWait)
	return projection < recompute
}

// MeasureCost times the audits of a sample.
func MeasureCost(ctx context.Context, set *expert.Set, piece func(expert.ID) (expert.Piece, bool), s Sample) (Cost, error) {
	const times = 20
	call := expert.Call{Expert: s.Expert}
	for r := range s.In.Rows {
		call.Rows = append(call.Rows, int32(r))
	}
	calls := []expert.Call{call}
	c := &Case{Checked: routing.Checked{In: s.In, Calls: calls, Results: set.Apply(ctx, s.In, calls)}}
	open := routing.Opening{Inner: set.Inner(ctx, s.In, calls)}
	for _, err := range []error{c.Results[0].Err, open.Inner[0].Err} {
		if err != nil {
			return Cost{}, err
		}
	}
	var cost Cost
	rows := time.Duration(s.In.Rows)
	weights := func(expert.ModelID) *expert.Set { return set }
	began := time.Now()
	secrets, err := newSecrets([32]byte{1}, weights, piece, time.Now).of(calls)
	if err != nil {
		return Cost{}, err
	}
	cost.Secret = time.Since(began)
	cost.SecretBytes = secrets[0].bytes()
	began = time.Now()
	for range times {
		if _, err := against(ctx, set, c); err != nil {
			return Cost{}, err
		}
	}
	cost.Recompute = time.Since(began) / (times * rows)
	began = time.Now()
	for range times {
		if _, err := test(c, secrets, open, []rounding{usual(set.Numeric(s.Expert))}); err != nil {
			return Cost{}, err
		}
	}
	cost.Projection = time.Since(began) / (times * rows)
	began = time.Now()
	if _, err := against(ctx, plain{set: set}, c); err != nil {
		return Cost{}, err
	}
	cost.Reference = time.Duration(known) * time.Since(began) / rows
	dim, ff := set.Size(s.Expert)
	cost.WireBytes = 4*dim + 8*ff
	return cost, nil
}

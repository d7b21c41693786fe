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

package simswarm

import (
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// Lying answers every call with numbers of the right shape and size that are
// not what the expert gives: each row reversed.
func Lying() Fault { return LyingSeldom(1, 0, nil) }

// lie makes finite numbers of the same distribution out of a result.
func lie(b expert.Batch) expert.Batch {
	out := expert.Batch{Rows: b.Rows, Dim: b.Dim, Data: slices.Clone(b.Data)}
	for r := range out.Rows {
		slices.Reverse(out.Row(r))
		if math.IsNaN(float64(out.Row(r)[0])) {
			out.Row(r)[0] = 0
		}
	}
	return out
}

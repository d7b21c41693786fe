package gating

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// Ranked writes the values by which the rule ranks a row's experts: the scores
// themselves, or what the gate makes of them where corrections are added.
// Groups are not looked at.
func (r Rule) Ranked(layer int, scores, ranked []float32) {
	correction := r.correction(layer)
	if correction == nil {
		copy(ranked, scores)
		return
	}
	r.probabilities(scores, ranked)
	for e, c := range correction {
		ranked[e] += c
	}
}

// Force weighs experts that somebody else chose for each row of scores, (Rows,
// Experts); chosen is (Rows, TopK). It is how an answer is computed again along
// the way it took, where two experts were nearly equal. An expert twice in a row,
// or one that there is not, is an error.
func (r Rule) Force(scores expert.Batch, chosen []uint16) ([]Pick, error) {
	k := min(r.TopK, scores.Dim)
	if len(chosen) != scores.Rows*k {
		return nil, fmt.Errorf("gating: %d experts chosen for %d rows of %d", len(chosen), scores.Rows, k)
	}
	p := new(picker)
	p.begin(scores, k)
	p.probs = sized(p.probs, scores.Dim)
	for row := range scores.Rows {
		mine := chosen[row*k : (row+1)*k]
		r.probabilities(scores.Row(row), p.probs)
		for i, e := range mine {
			if int(e) >= scores.Dim || slices.Contains(mine[:i], e) {
				return nil, fmt.Errorf("gating: experts %v chosen of %d", mine, scores.Dim)
			}
			p.chosen, p.weights = append(p.chosen, int(e)), append(p.weights, p.probs[e])
			p.counts[e]++
		}
		r.finish(p.weights[row*k:])
	}
	return p.group(k), nil
}

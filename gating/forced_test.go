package gating

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// TestForceOfOwnChoice: with the experts that the rule itself picks, weights are
// those of Pick, for every kind of gate.
func TestForceOfOwnChoice(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	scores := expert.NewBatch(5, 12)
	for i := range scores.Data {
		scores.Data[i] = float32(r.NormFloat64())
	}
	for _, rule := range []Rule{
		{TopK: 3, Gate: expert.Gate{Normalise: true, Scale: 1}},
		{TopK: 3, Gate: expert.Gate{Scale: 2}},
		{TopK: 2, Gate: expert.Gate{Score: expert.Sigmoid, Normalise: true, Scale: 1}},
		{TopK: 4, Gate: expert.Gate{Score: expert.SoftmaxKept, Scale: 1}},
	} {
		own := rule.Pick(0, scores)
		chosen := make([]uint16, scores.Rows*rule.TopK)
		weights := map[[2]int]float32{}
		counts := make([]int, scores.Rows)
		for _, p := range own {
			for i, row := range p.Rows {
				chosen[int(row)*rule.TopK+counts[row]] = p.Expert
				counts[row]++
				weights[[2]int{int(p.Expert), int(row)}] = p.Weights[i]
			}
		}
		picks, err := rule.Force(scores, chosen)
		if err != nil || len(picks) != len(own) {
			t.Fatalf("%+v: %d picks, want %d, %v", rule, len(picks), len(own), err)
		}
		for _, p := range picks {
			for i, row := range p.Rows {
				if want := weights[[2]int{int(p.Expert), int(row)}]; math.Abs(float64(p.Weights[i]-want)) > 1e-6 {
					t.Errorf("%+v, row %d expert %d: %v, want %v", rule, row, p.Expert, p.Weights[i], want)
				}
			}
		}
	}
}

func TestForceRefuses(t *testing.T) {
	rule, scores := Rule{TopK: 2, Gate: expert.Gate{Normalise: true, Scale: 1}}, expert.NewBatch(1, 4)
	for _, chosen := range [][]uint16{nil, {1}, {1, 1}, {1, 4}, {0, 1, 2}} {
		if picks, err := rule.Force(scores, chosen); err == nil {
			t.Errorf("%v: %v", chosen, picks)
		}
	}
}

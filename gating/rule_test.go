package gating

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// weightsOf lists the weights that a rule gives the experts of one row.
func weightsOf(r Rule, scores ...float32) map[int]float64 {
	got := map[int]float64{}
	for _, p := range r.Pick(0, expert.Batch{Rows: 1, Dim: len(scores), Data: scores}) {
		got[int(p.Expert)] = math.Round(float64(p.Weights[0])*1e5) / 1e5
	}
	return got
}

func TestRules(t *testing.T) {
	e := math.E
	round := func(x float64) float64 { return math.Round(x*1e5) / 1e5 }
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for name, c := range map[string]struct {
		rule   Rule
		scores []float32
		want   map[int]float64
	}{
		"softmax over all": {Rule{TopK: 1, Gate: expert.Gate{Scale: 1}}, []float32{0, 1}, map[int]float64{1: e / (1 + e)}},
		"scaled":           {Rule{TopK: 1, Gate: expert.Gate{Scale: 2.5}}, []float32{0, 1}, map[int]float64{1: 2.5 * e / (1 + e)}},
		"over the kept":    {Rule{TopK: 2, Gate: expert.Gate{Score: expert.SoftmaxKept, Scale: 1}}, []float32{1, -9, 2}, map[int]float64{0: 1 / (1 + e), 2: e / (1 + e)}},
		"sigmoid":          {Rule{TopK: 2, Gate: expert.Gate{Score: expert.Sigmoid, Scale: 1}}, []float32{3, -1, 2}, map[int]float64{0: sigmoid(3), 2: sigmoid(2)}},
		"sigmoid, normalised": {Rule{TopK: 2, Gate: expert.Gate{Score: expert.Sigmoid, Normalise: true, Scale: 1}}, []float32{3, -1, 2},
			map[int]float64{0: sigmoid(3) / (sigmoid(3) + sigmoid(2)), 2: sigmoid(2) / (sigmoid(3) + sigmoid(2))}},
		// The correction decides who is chosen and not with which weight.
		"corrected": {Rule{TopK: 1, Gate: expert.Gate{Score: expert.Sigmoid, Scale: 1}, Corrections: [][]float32{{0, 1, 0}}}, []float32{3, -1, 2},
			map[int]float64{1: sigmoid(-1)}},
		// The best expert of all is in a group whose second best is poor.
		"groups": {Rule{TopK: 2, Gate: expert.Gate{Score: expert.Sigmoid, Scale: 1, Groups: 2, GroupsUsed: 1}}, []float32{5, -9, -9, 1, 2, 0},
			map[int]float64{3: sigmoid(1), 4: sigmoid(2)}},
	} {
		got := weightsOf(c.rule, c.scores...)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for i, w := range c.want {
			if got[i] != round(w) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}

// TestRowsChooseAlone: a row's picks do not depend on the other rows.
func TestRowsChooseAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, gate := range []expert.Gate{
		{Scale: 1}, {Score: expert.Sigmoid, Normalise: true, Scale: 2, Groups: 4, GroupsUsed: 2}, {Score: expert.SoftmaxKept, Scale: 1},
	} {
		rule := Rule{TopK: 3, Gate: gate}
		scores := expert.NewBatch(6, 16)
		for i := range scores.Data {
			scores.Data[i] = float32(r.NormFloat64())
		}
		together := map[[2]int]float32{}
		for _, p := range rule.Pick(0, scores) {
			for i, row := range p.Rows {
				together[[2]int{int(row), int(p.Expert)}] = p.Weights[i]
			}
		}
		for row := range scores.Rows {
			for _, p := range rule.Pick(0, expert.Batch{Rows: 1, Dim: 16, Data: scores.Row(row)}) {
				if w, ok := together[[2]int{row, int(p.Expert)}]; !ok || w != p.Weights[0] {
					t.Fatalf("%+v row %d expert %d: %v alone, %v together", gate, row, p.Expert, p.Weights[0], w)
				}
			}
		}
	}
}

package gating

import (
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// Rule is how a model's gates choose experts and weigh them.
type Rule struct {
	TopK int
	Gate expert.Gate
	// Corrections are added to what the gate makes of a row's scores, for
	// choosing alone: by layer, one for each expert, nil where there are none.
	Corrections [][]float32
}

// RuleOf reads the rule of a model.
func RuleOf(m *expert.Model) Rule {
	r := Rule{TopK: m.TopK(), Gate: m.Design().Gate, Corrections: make([][]float32, m.Layers())}
	for l := range r.Corrections {
		if t, ok := m.Tensor(fmt.Sprintf("blk.%d.exp_probs_b.bias", l)); ok {
			r.Corrections[l] = t.Floats()
		}
	}
	return r
}

// plain reports whether the rule is that of [TopK], which takes a shorter way.
func (r Rule) plain(layer int) bool {
	g := r.Gate
	return g.Normalise && g.Scale == 1 && g.Groups <= 1 && g.Score != expert.Sigmoid && r.correction(layer) == nil
}

func (r Rule) correction(layer int) []float32 {
	if layer < len(r.Corrections) {
		return r.Corrections[layer]
	}
	return nil
}

// Pick chooses experts for each row of a layer's scores, (Rows, Experts), and
// returns the picks ordered by expert. Equal scores go to the lower index.
func (r Rule) Pick(layer int, scores expert.Batch) []Pick { return new(picker).pick(&r, layer, scores) }

func (p *picker) pick(r *Rule, layer int, scores expert.Batch) []Pick {
	if r.plain(layer) {
		return p.topK(scores, r.TopK)
	}
	k := min(r.TopK, scores.Dim)
	p.begin(scores, k)
	p.probs, p.ranked = sized(p.probs, scores.Dim), sized(p.ranked, scores.Dim)
	for row := range scores.Rows {
		r.probabilities(scores.Row(row), p.probs)
		copy(p.ranked, p.probs)
		for e, c := range r.correction(layer) {
			p.ranked[e] += c
		}
		r.keepGroups(p.ranked)
		for i := range p.best {
			p.best[i] = bestExcept(p.ranked, p.best[:i])
			p.chosen, p.weights = append(p.chosen, p.best[i]), append(p.weights, p.probs[p.best[i]])
			p.counts[p.best[i]]++
		}
		r.finish(p.weights[row*k:])
	}
	return p.group(k)
}

// probabilities writes what the gate makes of one row's scores.
func (r Rule) probabilities(scores, probs []float32) {
	switch r.Gate.Score {
	case expert.SoftmaxKept: // finish takes the softmax
		copy(probs, scores)
	case expert.Sigmoid:
		for i, s := range scores {
			probs[i] = float32(1 / (1 + math.Exp(-float64(s))))
		}
	default:
		softmax(scores, probs)
	}
}

// softmax writes the softmax of x, which may be y itself, to y.
func softmax(x, y []float32) {
	top, sum := slices.Max(x), 0.0
	for i, v := range x {
		e := math.Exp(float64(v - top))
		y[i] = float32(e)
		sum += e
	}
	for i := range y {
		y[i] /= float32(sum)
	}
}

// keepGroups leaves the experts of the best groups only: those whose two best
// experts have the largest sum.
func (r Rule) keepGroups(ranked []float32) {
	n := r.Gate.Groups
	if n <= 1 {
		return
	}
	size := len(ranked) / n
	var fewSums [32]float32 // more groups than any model has: no allocation
	sums := sized(fewSums[:0], n)
	for g := range sums {
		members := ranked[g*size : (g+1)*size]
		first := bestExcept(members, nil)
		sums[g] = members[first] + members[bestExcept(members, []int{first})]
	}
	var few [32]int
	kept := sized(few[:0], r.Gate.GroupsUsed)
	for i := range kept {
		kept[i] = bestExcept(sums, kept[:i])
	}
	for e := range ranked {
		if !slices.Contains(kept, e/size) {
			ranked[e] = float32(math.Inf(-1))
		}
	}
}

// leastSum keeps a division by the sum of vanishing weights finite: the
// smallest normal half float, as in llama.cpp.
const leastSum = 0x1p-14

// finish turns the kept values of a row into its weights.
func (r Rule) finish(w []float32) {
	if r.Gate.Score == expert.SoftmaxKept {
		softmax(w, w)
	}
	scale := r.Gate.Scale
	if r.Gate.Normalise {
		sum := float32(0)
		for _, v := range w {
			sum += v
		}
		for i := range w {
			w[i] /= max(sum, leastSum)
		}
	}
	for i := range w {
		w[i] *= scale
	}
}

package gating

import (
	"math"

	"github.com/moeswarm/moeswarm/expert"
)

// Pick is one expert that some rows chose.
type Pick struct {
	Expert  uint16
	Rows    []int32   // ascending
	Weights []float32 // one per row
}

// TopK keeps the k best experts of each row of scores, which is (Rows,
// Experts), and returns the picks ordered by expert. A row's weights are the
// softmax over all its scores, renormalised over the k kept. Equal scores go
// to the lower index. This is the gate of qwen3moe.
func TopK(scores expert.Batch, k int) []Pick {
	k = min(k, scores.Dim)
	var (
		best    = make([]int, k)
		counts  = make([]int32, scores.Dim)
		chosen  = make([]int, 0, scores.Rows*k)
		weights = make([]float32, 0, scores.Rows*k)
	)
	for r := range scores.Rows {
		row := scores.Row(r)
		for i := range best {
			best[i] = bestExcept(row, best[:i])
		}
		// The sum over all experts cancels out when the kept are
		// renormalised: only the kept need an exponential.
		top, sum := row[best[0]], float32(0)
		for _, e := range best {
			w := float32(math.Exp(float64(row[e] - top)))
			chosen, weights = append(chosen, e), append(weights, w)
			counts[e]++
			sum += w
		}
		for i := range best {
			weights[r*k+i] /= sum
		}
	}
	return group(chosen, weights, counts, k)
}

// bestExcept is the index of the largest value that is not in taken. NaN
// counts as smaller than anything, so a broken row still has k experts.
func bestExcept(row []float32, taken []int) int {
	best := -1
next:
	for e, v := range row {
		for _, t := range taken {
			if e == t {
				continue next
			}
		}
		if best < 0 || v > row[best] || (row[best] != row[best] && v == v) {
			best = e
		}
	}
	return best
}

// group turns row-major choices, k for each row, into picks by expert.
func group(chosen []int, weights []float32, counts []int32, k int) []Pick {
	used := 0
	for _, n := range counts {
		if n > 0 {
			used++
		}
	}
	picks := make([]Pick, 0, used)
	at := make([]int, len(counts)) // expert -> index in picks
	rows, ws := make([]int32, len(chosen)), make([]float32, len(chosen))
	for e, n := range counts {
		if n == 0 {
			continue
		}
		at[e] = len(picks)
		picks = append(picks, Pick{Expert: uint16(e), Rows: rows[:0:n], Weights: ws[:0:n]})
		rows, ws = rows[n:], ws[n:]
	}
	for i, e := range chosen {
		p := &picks[at[e]]
		p.Rows, p.Weights = append(p.Rows, int32(i/k)), append(p.Weights, weights[i])
	}
	return picks
}

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
func TopK(scores expert.Batch, k int) []Pick { return new(picker).topK(scores, k) }

// picker is what choosing experts works with. It is reused: what it returns is
// valid until it chooses again.
type picker struct {
	best          []int   // of the row at hand
	counts        []int32 // by expert: rows that chose it
	chosen        []int   // (Rows, k)
	weights       []float32
	probs, ranked []float32 // of the row at hand, see Rule.Pick

	picks   []Pick
	at      []int // expert -> index in picks
	rows    []int32
	sharing []float32
}

func (p *picker) begin(scores expert.Batch, k int) {
	p.best = sized(p.best, k)
	p.counts = sized(p.counts, scores.Dim)
	clear(p.counts)
	p.chosen, p.weights = p.chosen[:0], p.weights[:0]
}

func (p *picker) topK(scores expert.Batch, k int) []Pick {
	k = min(k, scores.Dim)
	p.begin(scores, k)
	for r := range scores.Rows {
		row := scores.Row(r)
		for i := range p.best {
			p.best[i] = bestExcept(row, p.best[:i])
		}
		// The sum over all experts cancels out when the kept are
		// renormalised: only the kept need an exponential.
		top, sum := row[p.best[0]], float32(0)
		for _, e := range p.best {
			w := float32(math.Exp(float64(row[e] - top)))
			p.chosen, p.weights = append(p.chosen, e), append(p.weights, w)
			p.counts[e]++
			sum += w
		}
		for i := range p.best {
			p.weights[r*k+i] /= sum
		}
	}
	return p.group(k)
}

// sized is s with n elements, of any value.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
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
func (p *picker) group(k int) []Pick {
	p.picks, p.at = p.picks[:0], sized(p.at, len(p.counts))
	p.rows, p.sharing = sized(p.rows, len(p.chosen)), sized(p.sharing, len(p.chosen))
	rows, ws := p.rows, p.sharing
	for e, n := range p.counts {
		if n == 0 {
			continue
		}
		p.at[e] = len(p.picks)
		p.picks = append(p.picks, Pick{Expert: uint16(e), Rows: rows[:0:n], Weights: ws[:0:n]})
		rows, ws = rows[n:], ws[n:]
	}
	for i, e := range p.chosen {
		to := &p.picks[p.at[e]]
		to.Rows, to.Weights = append(to.Rows, int32(i/k)), append(to.Weights, p.weights[i])
	}
	return p.picks
}

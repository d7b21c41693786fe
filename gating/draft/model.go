package draft

import "time"

// ModelPace learns what a draft model is worth: how often its tokens are right
// and what one takes.
type ModelPace struct {
	right float64 // share of its tokens that were right, the latest counting more
	took  float64 // ns for a token
	seen  int     // tokens compared
	quiet int     // answers that it was not asked for, since it was last
}

const (
	// hopeful is what a model's tokens are worth before any was compared.
	hopeful = 0.6
	// patience is how many times a model that does not pay goes unasked before
	// it is tried again.
	patience = 64
)

// Took notes how long a token took.
func (m *ModelPace) Took(t time.Duration) {
	if m.took == 0 {
		m.took = float64(t)
	}
	m.took += 0.1 * (float64(t) - m.took)
}

// Came compares a model's proposal with the tokens that came.
func (m *ModelPace) Came(p *Proposal, came []int32) {
	for i := range min(len(p.Tokens), len(came)) {
		m.seen++
		m.right += (0 - m.right) * m.weight()
		if p.Tokens[i] != came[i] {
			return
		}
		m.right += m.weight()
	}
}

func (m *ModelPace) weight() float64 { return max(1/float64(m.seen+1), 1./64) }

// Rate is how often the model's tokens are right.
func (m *ModelPace) Rate() float64 {
	const few = 8 // what hope counts for
	n := float64(m.seen)
	return (n*m.right + few*hopeful) / (n + few)
}

// Best is the highest rate, in tokens per nanosecond, that a model's draft may
// bring to a step of base rows with room for some more; 0 when nothing is
// known yet of what its tokens take.
func (m *ModelPace) Best(base, room int, costs []float64) (best float64) {
	chance, tokens := 1.0, 1.0
	for n := 1; n <= room && base+n < len(costs); n++ {
		chance *= m.Rate()
		tokens += chance
		best = max(best, tokens/(costs[base+n]+float64(n)*m.took))
	}
	return best
}

// Try says whether a model should be asked for a draft although it does not
// seem to pay. It is called once for each draft that it is not asked for.
func (m *ModelPace) Try() bool {
	if m.quiet++; m.quiet < patience && m.seen > 0 {
		return false
	}
	m.quiet = 0
	return true
}

// More says whether the next token of a draft is worth making, when n were
// made, all right with that chance, and so many are expected in all, the
// certain one included.
func (m *ModelPace) More(n int, chance, tokens float64, base int, costs []float64) bool {
	if base+n+1 >= len(costs) {
		return false
	}
	extra := m.took + costs[base+n+1] - costs[base+n]
	return chance*m.Rate()*(costs[base+n]+float64(n)*m.took) > tokens*extra
}

// Best is the highest rate, in tokens per nanosecond, that a proposal with
// these chances may bring to a step of base rows, sending nothing included.
func Best(base int, chances, costs []float64) float64 {
	tokens := 1.0
	best := 0.0
	if base < len(costs) {
		best = tokens / costs[base]
	}
	for i, c := range chances {
		if base+i+1 >= len(costs) {
			break
		}
		tokens += c
		best = max(best, tokens/costs[base+i+1])
	}
	return best
}

package transfer

import (
	"time"

	"github.com/moeswarm/moeswarm/internal/tree"
)

// pace is how a source delivers, and how much to have in flight from it.
type pace struct {
	// round is the least from asking to the answer: of the first range, which
	// is small, so that it is the way and not the bytes.
	round   time.Duration
	perByte float64   // seconds, on average; 0: not known
	last    time.Time // of the answers
}

// heard takes note of an answer of n bytes.
func (p *pace) heard(n int, asked, now time.Time) {
	if took := now.Sub(asked); p.round == 0 || took < p.round {
		p.round = max(took, 1)
	}
	// With several in flight one comes after another, so the pause since the
	// last is what it takes.
	from := asked
	if p.last.After(from) {
		from = p.last
	}
	p.last = now
	took := max(now.Sub(from).Seconds(), 1e-9) / float64(max(n, 1))
	if p.perByte == 0 {
		p.perByte = took
	}
	p.perByte += (took - p.perByte) / 8
}

// known reports whether anything was heard.
func (p *pace) known() bool { return p.perByte > 0 }

// windowRounds is how many rounds of what a source delivers are in flight: one is
// on its way, one is being read and checked there, one here, and one more lets a
// window that is too small for the source grow.
const windowRounds = 4

// window is how much must be in flight so that a source that is far, or very
// quick, always has something to send; 0 for others.
func (p *pace) window() int {
	if !p.known() {
		return 0
	}
	w := int(min(windowRounds*p.round.Seconds()/p.perByte, Far))
	if w <= Near {
		return 0 // it is near enough, or slow
	}
	return w
}

// most is how much of a share is worth while: a slow source should not hold what
// others would have sent long ago.
func (p *pace) most(share int) int {
	if !p.known() {
		return rangeLeast
	}
	return min(share, max(rangeLeast, int(0.5/p.perByte)))
}

// length is how much to ask for at once, when so many others have something in
// flight as well: half of what may be in flight, so that there is always
// something on its way, or all of it where others keep us busy meanwhile.
func (p *pace) length(share, others int) int {
	n := max(p.most(share), p.window())
	if others < 2 {
		n /= 2
	}
	return max(rangeLeast, min(n, tree.Chunk))
}

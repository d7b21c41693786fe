package groups

import (
	"math"
	"time"
)

// Most bounds the groups, and with them the steps under way that decode.
const Most = 32

// gain is by how much more groups must be faster to be worth a change, where
// measurements do not differ by more anyhow; half of that is what more of them must
// bring beside fewer, since each reads weights again.
const (
	gain     = 0.03
	mostGain = 0.1
)

// Choice is what the number of groups is chosen by. The zero value knows
// nothing, and chooses one.
type Choice struct {
	Times   Times
	Sharing Sharing
}

// round is how long it takes for n sequences to advance by a token each in g
// groups, in seconds.
func (c *Choice) round(n, g int, away float64) float64 {
	if g == 1 {
		return c.Times.overlapping(1, float64(n), away).alone
	}
	largest := c.Times.overlapping(g, float64((n+g-1)/g), away).alone
	return largest * c.Sharing.slowdown(&c.Times, c.Times.overlapping(g, float64(n)/float64(g), away))
}

// Groups says in how many groups n sequences that decode advance best, when
// the network takes away of each step. One where there is nothing to be waited
// for. was is the number so far, which more stay below if they are about as good.
func (c *Choice) Groups(n, was int, away time.Duration) int {
	if _, _, ok := c.Times.Of(1); n <= 1 || away <= 0 || !ok {
		return 1
	}
	var rounds [Most + 1]float64
	most := min(n, c.Sharing.reach(&c.Times, n, away.Seconds()))
	least := math.Inf(1)
	for g := 1; g <= most; g++ {
		rounds[g] = c.round(n, g, away.Seconds())
		least = min(least, rounds[g])
	}
	best := 1
	for rounds[best] > least*(1+gain/2) {
		best++
	}
	worth := 0. // fewer groups are, as long as they are no slower
	if was = min(max(was, 1), most); best > was {
		worth = min(max(gain, c.Sharing.noise), mostGain)
	}
	if rounds[best] > rounds[was]*(1-worth) {
		return was
	}
	return best
}

// Saw takes in a round that was measured.
func (c *Choice) Saw(r Round, away time.Duration) {
	if r.Groups > 1 && away > 0 {
		c.Sharing.note(seen{groups: r.Groups, rows: r.Rows, away: away.Seconds(), took: r.Took.Seconds()})
	}
}

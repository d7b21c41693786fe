package engine

import (
	"math"
	"math/bits"
	"time"
)

// costs remembers what steps took by their number of rows, by powers of two.
type costs [16]cost

// cost of a step, in seconds; zero rows: unknown.
type cost struct {
	rows    float64
	compute float64 // the trunk's own work
	experts float64 // waiting for experts, the network's part of it taken off
}

// Weights of the latest step in the averages. What is wanted is what a step
// takes when nothing is in its way, and steps often are in each other's: so
// less counts for more.
const (
	weightLess = 0.4
	weightMore = 0.05
)

func costClass(rows int) int { return min(bits.Len(uint(max(rows, 1)))-1, len(costs{})-1) }

// note takes in a step: what the trunk computed, and how long it waited for
// experts, of which the network took away.
func (c *costs) note(rows int, compute, experts, away time.Duration) {
	k := &c[costClass(rows)]
	now := cost{float64(rows), compute.Seconds(), max(experts-away, 0).Seconds()}
	if k.rows == 0 {
		*k = now
		return
	}
	w := weightMore
	if now.compute+now.experts < k.compute+k.experts {
		w = weightLess
	}
	k.rows += w * (now.rows - k.rows)
	k.compute += w * (now.compute - k.compute)
	k.experts += w * (now.experts - k.experts)
}

// of is what a step of so many rows is expected to take. What was not measured
// is taken from the nearest that was: half of that does not depend on rows
// (weights are read once), half does. Fewer rows never take longer than more
// did. ok is false when nothing was measured.
func (c *costs) of(rows int) (compute, experts float64, ok bool) {
	at := costClass(rows)
	for d := 0; d < len(c) && !ok; d++ {
		for _, i := range [2]int{at + d, at - d} {
			if i < 0 || i >= len(c) || c[i].rows == 0 || ok {
				continue
			}
			f := (1 + float64(rows)/c[i].rows) / 2
			compute, experts, ok = f*c[i].compute, f*c[i].experts, true
		}
	}
	for _, k := range c[min(at+1, len(c)):] {
		if k.rows > 0 {
			compute, experts = min(compute, k.compute), min(experts, k.experts)
		}
	}
	return compute, experts, ok
}

// mostGroups bounds the steps under way that decode.
const mostGroups = 32

// gain is by how much more groups must be faster to be worth it: each further
// one shares less of the work between rows.
const gain = 0.02

// groups says in how many groups n sequences that decode advance best, when
// the network takes away of each step: as many as it takes to keep the trunk,
// or the holders, at work while others wait. One where nothing is to be
// waited for. was is the number so far, which stays if it is about as good.
//
// With g groups each step has n/g rows. All sequences advance by a token in
// the time that the trunk computes all groups' steps, or the holders theirs,
// or one step takes from end to end, whichever is longest; where two are about
// as long, steps get into each other's way, and it takes longer than either.
func (c *costs) groups(n, was int, away time.Duration) int {
	if n <= 1 || away <= 0 {
		return 1
	}
	round := func(g int) float64 {
		compute, experts, _ := c.of((n + g - 1) / g)
		sum := 0.0
		for _, t := range [3]float64{float64(g) * compute, float64(g) * experts, compute + experts + away.Seconds()} {
			sum += t * t * t * t
		}
		return math.Sqrt(math.Sqrt(sum))
	}
	if _, _, ok := c.of(n); !ok {
		return 1
	}
	best := 1
	for g := 2; g <= min(n, mostGroups); g++ {
		if round(g) < round(best)*(1-gain) {
			best = g
		}
	}
	if was = min(was, n); was > 1 && round(was) <= round(best)*(1+gain) {
		return was
	}
	return best
}

// stall bounds what reading a prompt adds to the time between two tokens of an
// answer.
const stall = 0.2 // seconds

// chunk is how many rows of prompts a step has beside so many sequences that
// decode: at most so many that answers are not held up for longer than stall,
// or half the time that their own steps take anyhow.
func (c *costs) chunk(most, decode int, away time.Duration) int {
	const least = 16
	if decode == 0 {
		return most
	}
	compute, experts, ok := c.of(decode)
	if !ok {
		return most
	}
	allowed := max(stall, (compute+experts+away.Seconds())/2)
	for rows := most; rows > least; rows /= 2 {
		if compute, experts, _ := c.of(rows); compute+experts <= allowed {
			return rows
		}
	}
	return min(least, most)
}

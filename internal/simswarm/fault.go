package simswarm

import (
	"math/rand/v2"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
)

// Fault is a misbehaviour of a holder: it takes what the holder computes with
// and gives what it answers with. Faults work on any fabric whose holders
// serve an Applier, and they compose.
type Fault func(honest expert.Applier) expert.Applier

// With wraps an Applier in faults, the first one innermost.
func With(a expert.Applier, faults ...Fault) expert.Applier {
	for _, f := range faults {
		a = f(a)
	}
	return a
}

// chance is a seeded coin that several goroutines may throw.
type chance struct {
	mu     sync.Mutex
	random *rand.Rand
}

// The second half of a fault's seed, so that two faults of one holder differ.
const (
	seedFailing uint64 = iota + 100
	seedLying
	seedSpells
	seedWithholding
	seedSlow
)

func newChance(seed, stream uint64) *chance {
	return &chance{random: rand.New(rand.NewPCG(seed, stream))}
}

// hit is true with probability p.
func (c *chance) hit(p float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < p
}

// exp draws from the exponential distribution of mean 1.
func (c *chance) exp() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.ExpFloat64()
}

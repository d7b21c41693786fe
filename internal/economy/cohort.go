package economy

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// cohort is a number of equal machines.
type cohort struct {
	name     string
	gates    bool   // they gate, instead of holding experts
	fixed    bool   // they neither come nor go by profit
	nodes    uint64 // how many
	capacity uint64 // units an hour, each
	bond     ledger.Amount

	liquid ledger.Amount // of all together
	earned ledger.Amount // by each in this epoch
	today  ledger.Amount // by each since midnight
	lost   ledger.Amount // by each since midnight, to the cap of income
	margin float64       // smoothed: profit over cost
	frac   float64       // of a machine that comes or goes
}

// earn books income of each machine of an epoch and returns what the bond
// allows.
func (c *cohort) earn(each ledger.Amount, p ledger.Params) ledger.Amount {
	most := ledger.IncomeCap(c.bond, p)
	allowed := min(each, most-min(most, c.earned))
	c.earned += allowed
	c.today += allowed
	c.lost += each - allowed
	c.liquid += allowed * ledger.Amount(c.nodes)
	return allowed
}

// able is what the cohort can serve in an hour.
func (c *cohort) able() uint64 {
	if c.gates {
		return 0
	}
	return uint64(float64(c.nodes*c.capacity) * uptime)
}

// review looks back on a day at a price of NEURO: units served by each machine
// cost electricity. It returns how many machines want to come, or go.
func (c *cohort) review(price, unitsEach, h float64) int64 {
	cost := day*idleCost + unitsEach/unitsPerRow/1e6*power(h)
	if c.gates {
		cost = day * 10 * idleCost // a machine with the trunk, always busy
	}
	profit := float64(c.today)/1e9*price - cost
	c.margin += (profit/cost - c.margin) / 14
	c.today = 0
	if c.fixed {
		return 0
	}
	rate := math.Max(-0.03, math.Min(0.03, 0.02*c.margin))
	c.frac += rate * float64(c.nodes)
	return c.whole()
}

// whole takes the whole machines out of frac.
func (c *cohort) whole() int64 {
	n := math.Trunc(c.frac)
	c.frac -= n
	return int64(n)
}

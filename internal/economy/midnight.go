package economy

import (
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// midnight is what people do once a day: sell, bond more, come and go.
func (w *world) midnight(h float64, units uint64) {
	for _, c := range w.cohorts {
		if c != w.washer {
			w.sell(c)
		}
		unitsEach := 0.0
		if able := c.able(); able > 0 {
			unitsEach = float64(units) * day * float64(c.capacity) * uptime / math.Max(1, w.capacityUnits())
		}
		w.move(c, c.review(w.price, unitsEach, h))
	}
	// Clients take back what they need no more.
	if most := 2*w.wanted() + w.escrow.Reserved(); w.escrow.Balance > most {
		w.float += w.escrow.Balance - most
		w.escrow.Balance = most
	}
	// Validators sell what they get, and the treasury pays for grants.
	w.float += w.validators
	w.validators = 0
	grants := w.treasury / grantsDaily
	w.treasury -= grants
	w.float += grants
	if x := w.s.exodus; x != nil && h >= x.hour && h < x.hour+7*day {
		for _, c := range w.cohorts {
			c.frac -= float64(c.nodes) * (1 - math.Pow(1-x.share, 1.0/7))
			w.move(c, c.whole())
		}
	}
	if x := w.s.whales; x != nil && h >= x.sell && h < x.sell+day {
		for _, c := range w.cohorts {
			if c.name == "whales" {
				w.move(c, -1)
			}
		}
	}
	w.bound()
}

func (w *world) capacityUnits() float64 {
	var all float64
	for _, c := range w.cohorts {
		all += float64(c.able())
	}
	return all
}

// sell brings what a cohort earned to the market; who lost income to the cap of
// its bond bonds half of it first.
func (w *world) sell(c *cohort) {
	if c.lost > 0 && c.nodes > 0 {
		more := c.liquid / 2 / ledger.Amount(c.nodes)
		c.bond += more
		c.liquid -= more * ledger.Amount(c.nodes)
	}
	c.lost = 0
	w.float += c.liquid
	c.liquid = 0
}

// move has machines come, as far as bonds can be bought, or go.
func (w *world) move(c *cohort, n int64) {
	if n < 0 {
		gone := min(uint64(-n), c.nodes-min(c.nodes, 1)) // one stays, from whom growth can begin
		c.nodes -= gone
		w.unbonding[w.hour+w.p.UnbondEpochs] += c.bond * ledger.Amount(gone)
		return
	}
	affordable := w.float / 100 / max(c.bond, 1)
	come := min(uint64(n), uint64(affordable))
	c.nodes += come
	w.float -= c.bond * ledger.Amount(come)
}

// weightOf is the weight of a gate of a cohort in draws of the committee.
func (w *world) weightOf(c *cohort) uint64 { return ledger.Weigh(c.bond, w.limit, repBps) }

// bound sets the bond above which weight in draws does not grow.
func (w *world) bound() {
	var bonds []ledger.Amount
	for _, g := range w.cohorts {
		if g.gates {
			bonds = append(bonds, slices.Repeat([]ledger.Amount{g.bond}, int(g.nodes))...)
		}
	}
	w.limit = ledger.Median(bonds) * ledger.Amount(w.p.WeightMedians)
}

// whaleSeats is the share of the committee that whales may expect.
func (w *world) whaleSeats() float64 {
	var theirs, all float64
	for _, c := range w.cohorts {
		if !c.gates {
			continue
		}
		weight := float64(w.weightOf(c)) * float64(c.nodes)
		all += weight
		if c.name == "whales" {
			theirs += weight
		}
	}
	return theirs / math.Max(all, 1)
}

package economy

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// market is what a million tokens cost elsewhere, in the outside currency.
func market(h float64) float64 { return marketStart * math.Pow(marketYearly, h/year) }

// power is what the electricity for a million tokens' experts costs.
func power(h float64) float64 { return electricity * math.Pow(powerYearly, h/year) }

// serve has clients ask, machines answer and the payment split. It returns the
// units served.
func (w *world) serve(h float64) uint64 {
	// Gates ask for the market's price in NEURO, at the price they know, more
	// while machines are short and less while they wait.
	perMillion := market(h) * w.scarcity / w.known
	daily := 1 + 0.4*math.Sin(2*math.Pi*h/day) + 0.1*math.Sin(2*math.Pi*h/week)
	asked := w.s.Demand(h) * daily
	// Who pays more than elsewhere goes elsewhere.
	asked *= math.Max(0.2, math.Min(2, math.Pow(market(h)/(perMillion*w.price), elasticity)))
	var able uint64
	for _, c := range w.cohorts {
		able += c.able()
	}
	tokens := math.Min(asked, float64(able)/unitsPerRow)
	switch {
	case asked > tokens:
		w.scarcity = math.Min(w.scarcity*1.002, 3)
	case asked < 0.7*float64(able)/unitsPerRow:
		w.scarcity = math.Max(w.scarcity/1.002, 0.5)
	}
	gross := ledger.Amount(tokens * perMillion * 1e3)
	budget, paid, _ := w.escrow.BudgetOf(w.hour)
	most := ledger.GateShare(budget, 0, ledger.AssignedGates) - paid
	if gross > most {
		served := tokens * float64(most) / float64(gross)
		w.now.unpaid = tokens - served
		tokens, gross = served, most
	}
	w.now.asked, w.now.served, w.now.gross = asked, tokens, gross
	w.escrow.Pay(w.hour, gross)
	units := uint64(tokens) * unitsPerRow
	w.split(gross, units, able)

	need := tokens * perMillion / 1e6
	if w.now.unpaid > 0 {
		need = asked * perMillion / 1e6
	}
	w.spending += (need - w.spending) / (2 * day)
	// A quarter of the escrow is an epoch's budget, half of that the first
	// gate's, and three budgets may be reserved at once: eight times the
	// spending, and as much again for peaks.
	if want := w.wanted(); w.escrow.Balance < want {
		w.deposit(want - w.escrow.Balance)
	}
	return units
}

// wanted is how much escrow clients want.
func (w *world) wanted() ledger.Amount { return ledger.Amount(16 * w.spending * 1e9) }

// split pays out a gross payment as the ledger does.
func (w *world) split(gross ledger.Amount, units, able uint64) {
	s := ledger.SplitGross(gross, w.p)
	w.supply -= s.Burn
	w.now.burned += s.Burn
	w.now.fees += s.Burn + s.Treasury
	w.treasury += s.Treasury
	w.now.providers += w.share(s.Gate, func(c *cohort) uint64 {
		if c.gates {
			return w.weightOf(c)
		}
		return 0
	}, s.Burn, gross)
	w.now.providers += w.share(s.Pool, func(c *cohort) uint64 {
		return ledger.MulDiv(units, c.able()/max(c.nodes, 1), max(able, 1))
	}, s.Burn, gross)
	copy(w.revenue[1:], w.revenue[:])
	w.revenue[0] = s.Gate + s.Pool
	copy(w.honest[1:], w.honest[:])
	w.honest[0] = w.revenue[0]
}

// share divides an amount among machines by a weight of each one. What bonds do
// not allow, and dust, goes to the treasury. It returns what machines had, with
// the bonus for what they burned.
func (w *world) share(pool ledger.Amount, weight func(*cohort) uint64, burned, gross ledger.Amount) ledger.Amount {
	var total uint64
	for _, c := range w.cohorts {
		total += weight(c) * c.nodes
	}
	left, had := pool, ledger.Amount(0)
	for _, c := range w.cohorts {
		each := ledger.Share(pool, weight(c), total)
		got := c.earn(each, w.p)
		w.now.capped += (each - got) * ledger.Amount(c.nodes)
		left -= got * ledger.Amount(c.nodes)
		had += got * ledger.Amount(c.nodes)
		w.bonus(c, got, burned, gross)
	}
	w.treasury += left
	return had
}

// bonus mints back a part of what a machine's paid work burned.
func (w *world) bonus(c *cohort, got, burned, gross ledger.Amount) {
	if gross == 0 || got == 0 {
		return
	}
	each := ledger.Bps(ledger.Amount(ledger.MulDiv(uint64(burned), uint64(got), uint64(gross))), w.p.BonusBps)
	room := w.emission() - min(w.emission(), w.now.minted)
	if each*ledger.Amount(c.nodes) > room {
		return
	}
	w.mint(c, each)
}

// mint gives each machine of a cohort new money, as far as its bond allows.
func (w *world) mint(c *cohort, each ledger.Amount) {
	got := c.earn(each, w.p)
	n := got * ledger.Amount(c.nodes)
	w.supply += n
	w.now.minted += n
	w.now.emitted += n
	w.now.providers += n
	w.now.capped += (each - got) * ledger.Amount(c.nodes)
}

// emission is what this epoch may mint.
func (w *world) emission() ledger.Amount {
	n := ledger.Emission(w.hour, ledger.Median(w.revenue[:]), w.supply, w.p)
	return n - ledger.Bps(n, w.p.ValidatorBps)
}

// emit mints for validators and for audited work.
func (w *world) emit(units uint64) {
	whole := ledger.Emission(w.hour, ledger.Median(w.revenue[:]), w.supply, w.p)
	v := ledger.Bps(whole, w.p.ValidatorBps)
	w.supply += v
	w.validators += v
	left := whole - v - min(whole-v, w.now.minted)
	w.now.minted += v
	earners := make([]ledger.Earner, len(w.cohorts))
	for i, c := range w.cohorts {
		audited := ledger.MulDiv(uint64(float64(c.capacity)*uptime)/auditShare, repBps, ledger.BpsOne)
		earners[i] = ledger.Earner{Work: audited, Bond: c.bond, Many: c.nodes}
	}
	weights := ledger.EmissionWeights(earners, w.p.EmissionBondBps)
	var total uint64
	for i, c := range w.cohorts {
		total += weights[i] * c.nodes
	}
	for i, c := range w.cohorts {
		w.mint(c, ledger.Share(left, weights[i], total))
	}
}

// washTrade has the coalition pay its own machines as much as keeps the revenue
// at the target of emission.
func (w *world) washTrade(h float64) {
	if w.washer == nil || h < w.s.wash.from || h >= w.s.wash.to {
		return
	}
	net := ledger.Amount(w.p.EmissionTarget) - min(ledger.Amount(w.p.EmissionTarget), w.revenue[0])
	gross := ledger.Amount(ledger.MulDiv(uint64(net), ledger.BpsOne, ledger.BpsOne-w.p.FeeBps))
	c := w.washer
	gross = min(gross, c.liquid, ledger.IncomeCap(c.bond, w.p))
	c.liquid -= gross
	s := ledger.SplitGross(gross, w.p)
	w.supply -= s.Burn
	w.now.burned += s.Burn
	w.now.fees += s.Burn + s.Treasury
	w.treasury += s.Treasury
	got := c.earn(s.Gate+s.Pool, w.p)
	w.treasury += s.Gate + s.Pool - got
	w.revenue[0] += s.Gate + s.Pool
	minted := w.now.minted
	w.bonus(c, got, s.Burn, gross)
	w.now.washed, w.now.washPaid, w.now.washBack = gross, gross-got, w.now.minted-minted
	without := ledger.Emission(w.hour, ledger.Median(w.honest[:]), w.supply, w.p)
	w.now.unminted = without - min(without, ledger.Emission(w.hour, ledger.Median(w.revenue[:]), w.supply, w.p))
}

package economy

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// world is the state of a run. Money is in exactly one of: float, escrow,
// cohorts' liquid and bonds, unbonding, treasury, validators.
type world struct {
	s Scenario
	p ledger.Params
	r *rand.Rand

	hour     uint64
	noise    float64
	price    float64 // of NEURO
	known    float64 // the price that gates reckon with: a week's average
	spending float64 // NEURO an hour, smoothed
	scarcity float64 // what gates ask over the market's price

	supply     ledger.Amount
	float      ledger.Amount // in hands that neither serve nor ask
	escrow     ledger.Escrow
	treasury   ledger.Amount
	validators ledger.Amount
	cohorts    []*cohort
	unbonding  map[uint64]ledger.Amount
	revenue    [ledger.RevenueEpochs]ledger.Amount
	honest     [ledger.RevenueEpochs]ledger.Amount // the same without what was washed
	washer     *cohort
	limit      ledger.Amount // bond above which the weight of a gate does not grow

	now  flows // of this hour
	sums flows // of the sample that runs
	all  flows // of the run
}

// flows are what an hour moved.
type flows struct {
	hours                            uint64
	asked, served, unpaid            float64 // tokens: wanted, served, refused for want of escrow
	gross, minted, burned, fees      ledger.Amount
	providers                        ledger.Amount // to gates and holders, all of it
	emitted                          ledger.Amount // of that, minted
	capped                           ledger.Amount // of that, that bonds did not allow: to the treasury, or not minted
	washed, washPaid, washBack       ledger.Amount // by the coalition: turned over, lost of it, got back
	unminted                         ledger.Amount // emission that washed revenue held back
	outside, rows, nodes, bonds, esc float64       // integrals, for means
	seats                            float64
}

func (f *flows) add(o flows) {
	f.hours++
	f.asked += o.asked
	f.served += o.served
	f.unpaid += o.unpaid
	f.gross += o.gross
	f.minted += o.minted
	f.burned += o.burned
	f.fees += o.fees
	f.providers += o.providers
	f.emitted += o.emitted
	f.capped += o.capped
	f.washed += o.washed
	f.washPaid += o.washPaid
	f.washBack += o.washBack
	f.unminted += o.unminted
	f.outside += o.outside
	f.rows += o.rows
	f.nodes += o.nodes
	f.bonds += o.bonds
	f.esc += o.esc
	f.seats += o.seats
}

func newWorld(s Scenario, seed uint64) *world {
	w := &world{s: s, p: ledger.DefaultParams(), r: rand.New(rand.NewPCG(seed, 11)), unbonding: map[uint64]ledger.Amount{}}
	w.supply = genesis * ledger.Neuro
	w.treasury = genesisDAO * ledger.Neuro
	w.float = w.supply - w.treasury
	w.price = s.Price(0)
	w.known, w.scarcity = w.price, 1
	w.join(&cohort{name: "gates", gates: true, nodes: 24, bond: 200 * ledger.Neuro})
	for i := range 24 { // machines of people: a few large, many small
		size := math.Exp(w.r.NormFloat64() * 0.8)
		w.join(&cohort{
			name: fmt.Sprintf("holders %d", i), nodes: uint64(1 + w.r.IntN(6)),
			capacity: uint64(size*200_000) * unitsPerRow,
			bond:     ledger.Amount(math.Max(float64(w.p.MinHolderBond), size*20*1e9)),
		})
	}
	if s.whales != nil {
		w.join(&cohort{name: "whales", gates: true, fixed: true, nodes: uint64(s.whales.count), bond: ledger.Amount(s.whales.bond * 1e9)})
	}
	if s.wash != nil {
		w.washer = &cohort{name: "coalition", fixed: true, nodes: 1, bond: washBonds * ledger.Neuro}
		w.join(w.washer)
		w.buy(w.washer, 1_000_000*ledger.Neuro)
	}
	w.deposit(1_000 * ledger.Neuro)
	w.bound()
	return w
}

// join adds a cohort, which bonds what it bought.
func (w *world) join(c *cohort) {
	w.float -= c.bond * ledger.Amount(c.nodes)
	w.cohorts = append(w.cohorts, c)
}

func (w *world) buy(c *cohort, n ledger.Amount) {
	n = min(n, w.float)
	w.float -= n
	c.liquid += n
}

func (w *world) deposit(n ledger.Amount) {
	n = min(n, w.float)
	w.float -= n
	w.escrow.Balance += n
}

// total is all the money there is, wherever it lies.
func (w *world) total() ledger.Amount {
	sum := w.float + w.escrow.Balance + w.treasury + w.validators
	for _, c := range w.cohorts {
		sum += c.liquid + c.bond*ledger.Amount(c.nodes)
	}
	for _, n := range w.unbonding {
		sum += n
	}
	return sum
}

// step is one epoch.
func (w *world) step() error {
	h := float64(w.hour)
	w.now = flows{}
	w.noise += -w.noise/(5*day) + w.r.NormFloat64()*w.s.Noise*math.Sqrt(2/(5.0*day))
	w.price = w.s.Price(h) * math.Exp(w.noise)
	w.known += (w.price - w.known) / week
	for _, c := range w.cohorts {
		c.earned = 0
	}
	w.escrow = w.escrow.At(w.hour)
	units := w.serve(h)
	w.washTrade(h)
	w.emit(units)
	w.float += w.unbonding[w.hour]
	delete(w.unbonding, w.hour)
	if w.hour%day == day-1 {
		w.midnight(h, units)
	}
	w.account()
	if have := w.total(); have != w.supply {
		return fmt.Errorf("economy %s, epoch %d: accounts hold %d nneuro, the supply is %d", w.s.Name, w.hour, have, w.supply)
	}
	w.sums.add(w.now)
	w.all.add(w.now)
	w.hour++
	return nil
}

// account keeps what means are made of.
func (w *world) account() {
	w.now.rows = w.now.served * unitsPerRow
	w.now.outside = float64(w.now.providers) / 1e9 * w.price
	w.now.esc = float64(w.escrow.Balance) / 1e9
	for _, c := range w.cohorts {
		w.now.nodes += float64(c.nodes)
		w.now.bonds += float64(c.bond) / 1e9 * float64(c.nodes)
	}
	w.now.seats = w.whaleSeats()
}

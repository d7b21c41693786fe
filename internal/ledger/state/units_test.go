package state_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

const perRow = 8

// bounded is a world after epoch 1, in which a client paid its one gate for
// tokens of a model that needs perRow units for each, 1000 nneuro a token.
func bounded(t *testing.T, tokens uint64, bond ledger.Amount) (w *world, v ledger.Voucher) {
	t.Helper()
	w = newWorld(t, shape{clients: 1, gates: 1, holders: 2, bond: bond, change: func(p *ledger.Params) { p.EmissionStart = 0 }})
	if err := w.l.Govern(&ledger.SetModel{ID: w.model, Model: ledger.Model{Active: true, Name: "demo", UnitsPerRow: perRow, Floor: 1000}}); err != nil {
		t.Fatal(err)
	}
	w.do(w.clients[0], &ledger.Deposit{Model: w.model, Amount: 400 * ledger.Neuro})
	w.epoch()
	v = w.voucher(w.clients[0], w.gates[0], 1, 0, ledger.Amount(tokens)*1000)
	w.epoch()
	return w, v
}

// TestUnitsBeyondThePaid: an honest holder's units are worth the same however
// many a friend of the gate has; those are paid by its share, then by its bond,
// and a gate that cannot pay them cannot close.
func TestUnitsBeyondThePaid(t *testing.T) {
	const tokens, done = 10_000_000, 10_000_000 * perRow
	split := ledger.SplitGross(10*ledger.Neuro, ledger.DefaultParams())
	const most = done * 5 / 4
	worth := func(units uint64) ledger.Amount { return ledger.Amount(ledger.MulDiv(uint64(split.Pool), units, most)) }
	for _, c := range []struct {
		friend     uint64
		gate, bond ledger.Amount // what the gate has of its share, and loses of its bond
		honest     ledger.Amount
		refused    bool
	}{
		{0, split.Gate, 0, split.Pool, false},
		{most - done, split.Gate, 0, worth(done), false},
		{most - done + most/10, split.Gate - worth(most/10), 0, worth(done), false},
		{3*most - done, 0, worth(3*most) - split.Pool - split.Gate, worth(done), false},
		{1e12, 0, 0, 0, true},
	} {
		w, v := bounded(t, tokens, 2000*ledger.Neuro)
		g, h, friend := w.gates[0], w.holders[0], w.holders[1]
		leaves := []ledger.Leaf{{Holder: h.key, Units: done}}
		if c.friend > 0 {
			leaves = append(leaves, ledger.Leaf{Holder: friend.key, Units: c.friend})
		}
		gate, honest, bond := w.balance(g), w.balance(h), w.provider(g).Bond
		if c.refused {
			w.refuse(g, w.closing(g, 1, leaves, v), ledger.ErrCap)
			continue
		}
		w.do(g, w.closing(g, 1, leaves, v))
		if got := w.balance(g) - gate; !near(got, c.gate) {
			t.Errorf("friend of %d units: the gate has %v, want %v", c.friend, got, c.gate)
		}
		if got := bond - w.provider(g).Bond; !near(got, c.bond) {
			t.Errorf("friend of %d units: the bond lost %v, want %v", c.friend, got, c.bond)
		}
		if got := w.balance(h) - honest; !near(got, c.honest) {
			t.Errorf("friend of %d units: the holder has %v, want %v", c.friend, got, c.honest)
		}
	}
}

func near(a, b ledger.Amount) bool { return a <= b+2 && b <= a+2 }

// TestSilentGateBeyondThePaid: receipts alone get no more out of a pool than
// leaves; who signed for more than all it has loses all it has.
func TestSilentGateBeyondThePaid(t *testing.T) {
	const tokens, done = 10_000_000, 10_000_000 * perRow
	for _, friendUnits := range []uint64{done, 1e15} {
		w, v := bounded(t, tokens, 2000*ledger.Neuro)
		g, h, friend := w.gates[0], w.holders[0], w.holders[1]
		gate, honest := w.balance(g), w.balance(h)
		w.do(h, w.settlement(g, 1, v))
		w.do(h, w.receipt(h, done))
		w.do(friend, w.receipt(friend, friendUnits))
		w.epoch()
		w.epoch()
		if w.balance(g) != gate {
			t.Errorf("a gate that promised %d units to a friend has %v", friendUnits, w.balance(g)-gate)
		}
		left := w.provider(g).Bond
		if friendUnits > 2*done {
			if left != 0 {
				t.Errorf("it has a bond of %v", left)
			}
			continue
		}
		pool := ledger.SplitGross(10*ledger.Neuro, w.params).Pool
		if got, want := w.balance(h)-honest, pool*4/5; !near(got, want) {
			t.Errorf("the honest holder has %v, want %v", got, want)
		}
		if left == 0 || left >= 2000*ledger.Neuro {
			t.Errorf("the bond is %v", left)
		}
	}
}

// TestTokensAreWhatWasPaid: tokens that a client swears to, but did not pay for,
// make no room for units.
func TestTokensAreWhatWasPaid(t *testing.T) {
	w, _ := bounded(t, 1, 2000*ledger.Neuro)
	c, g := w.clients[0], w.gates[0]
	work := func() ledger.Work {
		k, err := w.see().Work(t.Context(), 1, w.model, g.key)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	v := ledger.Voucher{Client: c.key, Gate: g.key, Model: w.model, Epoch: 1, Tokens: 1e9, Cum: 100_000}
	w.do(g, w.settlement(g, 1, v.Sign(chain, c.private)))
	if got := work().Tokens; got != 100 {
		t.Errorf("%d tokens for 100,000 at a floor of 1000", got)
	}
	// A promise of 1000 NEURO for 10^6 tokens, of which the budget pays a tenth.
	v.Session, v.Tokens, v.Cum = ledger.Session{9}, 1e6, 1000*ledger.Neuro
	w.do(g, w.settlement(g, 1, v.Sign(chain, c.private)))
	if got := work().Tokens - 100; got < 99_000 || got > 100_000 {
		t.Errorf("%d tokens for a tenth of the money of 10^6", got)
	}
}

// TestBackedPoolMintsNothing: what a bond adds to a pool is no revenue, and
// earns no bonus beyond what the payment burned.
func TestBackedPoolMintsNothing(t *testing.T) {
	w, v := bounded(t, 10_000_000, 2000*ledger.Neuro)
	g, h := w.gates[0], w.holders[0]
	w.do(g, w.closing(g, 1, []ledger.Leaf{{Holder: h.key, Units: 10_000_000 * perRow * 12}}, v))
	split := ledger.SplitGross(10*ledger.Neuro, w.params)
	for key, most := range map[string]uint64{
		string(ledger.KeyBonus(h.key)): uint64(split.Burn),
	} {
		var n ledger.Count
		w.record([]byte(key), &n)
		if n.N > most {
			t.Errorf("a bonus for a burn of %d, want at most %d", n.N, most)
		}
	}
	var r ledger.Revenue
	w.record(ledger.KeyRevenue(), &r)
	if r.Now != split.Gate+split.Pool {
		t.Errorf("revenue of %v, want %v", r.Now, split.Gate+split.Pool)
	}
}

// record reads a record of the state.
func (w *world) record(key []byte, r ledger.Record) {
	w.t.Helper()
	b, err := w.l.As(ledger.Key{}).Get(w.t.Context(), key)
	if err != nil || b == nil {
		w.t.Fatalf("record %q: %v", key, err)
	}
	if err := ledger.Decode(b, r); err != nil {
		w.t.Fatal(err)
	}
}

// TestDisputeIsIncome: a receipt that a bond pays is bounded by the holder's own
// bond, as what a pool pays; the rest goes to the treasury.
func TestDisputeIsIncome(t *testing.T) {
	w, v := served(t)
	g, h := w.gates[0], w.holders[0]
	w.do(h, &ledger.Unbond{Amount: w.provider(h).Bond - 100*ledger.Neuro})
	w.do(g, w.closing(g, 1, []ledger.Leaf{{Holder: w.holders[1].key, Units: 1}}, v))
	before, bond, treasury := w.balance(h), w.provider(g).Bond, w.l.Money(state.Account{Pot: state.PotTreasury})
	w.do(h, w.receipt(h, 1_000_000))
	most := ledger.IncomeCap(100*ledger.Neuro, w.params)
	if got := w.balance(h) - before; got != most {
		t.Errorf("the holder has %v, its bond allows %v", got, most)
	}
	pool := ledger.SplitGross(100*ledger.Neuro, w.params).Pool
	penalty := ledger.Bps(bond-pool, w.params.UnderreportBps)
	if got, want := w.l.Money(state.Account{Pot: state.PotTreasury})-treasury, pool-most+penalty/10; !near(got, want) {
		t.Errorf("the treasury has %v more, want %v", got, want)
	}
}

// TestTariffs: a seat has the price that its gate's heartbeat said before it was
// drawn, the model's floor at least, and money makes room for units at that price:
// cheap tokens make as much less.
func TestTariffs(t *testing.T) {
	w, _ := bounded(t, 1, 2000*ledger.Neuro)
	c, g := w.clients[0], w.gates[0]
	price := func() ledger.Amount {
		seats, err := w.see().Committee(t.Context(), w.l.Clock().Epoch, w.model)
		if err != nil || len(seats) != 1 {
			t.Fatal(seats, err)
		}
		return seats[0].Price
	}
	if got := price(); got != 1000 {
		t.Errorf("a seat without a tariff has %d, the floor is 1000", got)
	}
	say := func(prices ...ledger.Amount) *ledger.Heartbeat {
		h := &ledger.Heartbeat{Epoch: w.l.Clock().Epoch}
		for _, p := range prices {
			h.Tariffs = append(h.Tariffs, ledger.Tariff{Model: w.model, Price: p})
		}
		return h
	}
	w.refuse(g, say(1, 2), ledger.ErrMalformed)
	w.do(g, say(5000))
	if got := price(); got != 1000 {
		t.Errorf("the price of a seat changed to %d under its answers", got)
	}
	turn := func() {
		if err := w.l.NextEpoch(); err != nil {
			t.Fatal(err)
		}
		w.audit()
	}
	turn()
	if got := price(); got != 5000 {
		t.Errorf("the seat has a price of %d, the tariff was 5000", got)
	}
	epoch := w.l.Clock().Epoch
	v := ledger.Voucher{Client: c.key, Gate: g.key, Model: w.model, Epoch: epoch, Session: ledger.Session{1}, Tokens: 100, Cum: 500_000}.Sign(chain, c.private)
	cheap := ledger.Voucher{Client: c.key, Gate: g.key, Model: w.model, Epoch: epoch, Session: ledger.Session{2}, Tokens: 100, Cum: 100_000}.Sign(chain, c.private)
	turn()
	w.do(g, w.settlement(g, epoch, v, cheap))
	k, err := w.see().Work(t.Context(), epoch, w.model, g.key)
	if err != nil || k.Tokens != 120 {
		t.Errorf("there is room for %d tokens (%v), want 100 dear ones and a fifth of 100 cheap ones", k.Tokens, err)
	}
}

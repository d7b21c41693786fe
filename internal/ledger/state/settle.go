package state

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// SettleEpochs is for how many epochs after one is over its vouchers count.
const SettleEpochs = ledger.SettleEpochs

// settle takes vouchers, and closes if the gate says so. Vouchers that do not
// verify, or are not covered, count nothing; the others do.
func (m *Machine) settle(signer ledger.Key, v *ledger.SettleEpoch) error {
	switch now := m.clock.Epoch; {
	case v.Epoch >= now:
		return fmt.Errorf("%w: epoch %d is not over", ledger.ErrTooEarly, v.Epoch)
	case now-v.Epoch > SettleEpochs:
		return fmt.Errorf("%w: epoch %d was to settle by epoch %d", ledger.ErrTooLate, v.Epoch, v.Epoch+SettleEpochs)
	case v.Close && signer != v.Gate:
		return fmt.Errorf("%w: only the gate closes its epoch", ledger.ErrUnauthorized)
	case !v.Close && len(v.Tickets) == 0:
		return fmt.Errorf("%w: nothing to settle", ledger.ErrMalformed)
	}
	key := ledger.KeyWork(v.Epoch, v.Model, v.Gate)
	var w ledger.Work
	m.get(key, &w)
	if w.Closed {
		return fmt.Errorf("%w: epoch %d of gate %v is closed", ledger.ErrDuplicate, v.Epoch, v.Gate)
	}
	if err := m.collect(v, &w); err != nil {
		return err
	}
	if v.Close {
		if err := m.closeWork(v, &w); err != nil {
			return err
		}
	}
	m.set(key, &w)
	return nil
}

// collect moves what the vouchers add from escrows to the pot of work.
func (m *Machine) collect(v *ledger.SettleEpoch, w *ledger.Work) error {
	var seed ledger.Word
	var committee ledger.Committee
	var model ledger.Model
	m.get(ledger.KeySeed(v.Epoch), &seed)
	m.get(ledger.KeyGating(v.Epoch, v.Model), &committee)
	m.get(ledger.KeyModel(v.Model), &model)
	seat := ledger.Seat{Price: model.Floor}
	if i := slices.IndexFunc(committee, func(s ledger.Seat) bool { return s.Peer == v.Gate }); i >= 0 {
		seat.Price = max(seat.Price, committee[i].Price)
	}
	vouchers := make([]ledger.Voucher, len(v.Tickets))
	for i, t := range v.Tickets {
		vouchers[i] = v.Voucher(t)
	}
	var sum ledger.Amount
	for i, ok := range ledger.VerifyAll(m.chain, vouchers) {
		if !ok {
			continue
		}
		rank, n := rankOf(seed.Hash, v.Gate, vouchers[i].Client, committee)
		sum += m.take(vouchers[i], rank, n, seat, w)
	}
	w.Gross += sum
	return m.move(pot(PotEscrow), pot(PotWork), sum)
}

// rankOf is a gate's place among a client's n assigned gates, -1 for none.
func rankOf(seed ledger.Hash, gate, client ledger.Key, committee []ledger.Seat) (rank, n int) {
	gates := ledger.Assigned(seed, client, committee)
	for i, g := range gates {
		if g == gate {
			return i, len(gates)
		}
	}
	return -1, len(gates)
}

// take counts one voucher: what it adds to its session, within the gate's share
// of the client's budget. It returns what leaves the escrow.
func (m *Machine) take(v ledger.Voucher, rank, n int, seat ledger.Seat, w *ledger.Work) ledger.Amount {
	e := m.escrow(v.Client, v.Model)
	budget, _, open := e.BudgetOf(v.Epoch)
	share := ledger.GateShare(budget, rank, n)
	if !open || share == 0 {
		return 0
	}
	sessionKey := ledger.KeySession(v.Epoch, v.Model, v.Gate, v.Client, v.Session)
	paidKey := ledger.KeyPaid(v.Epoch, v.Model, v.Gate, v.Client)
	var session, paid ledger.Settled
	m.get(sessionKey, &session)
	m.get(paidKey, &paid)
	if v.Cum <= session.Cum {
		return 0
	}
	fresh := min(v.Cum-session.Cum, share-paid.Cum)
	if fresh == 0 {
		return 0
	}
	session.Cum += fresh
	paid.Cum += fresh
	// Tokens say for how many units the pool is, so no more of them count than
	// the money that came buys, at the price of the gate's seat.
	tokens := max(ledger.MulDiv(v.Tokens, uint64(session.Cum), uint64(v.Cum)), session.Tokens)
	tokens = seat.Room(tokens, session.Cum)
	w.Tokens = addUpTo(w.Tokens, tokens-min(tokens, session.Tokens))
	session.Tokens = max(tokens, session.Tokens)
	m.set(sessionKey, &session)
	m.set(paidKey, &paid)
	e.Pay(v.Epoch, fresh)
	m.putEscrow(v.Client, v.Model, e)
	return fresh
}

// closeWork splits what came in, and pays the leaves that ride along.
func (m *Machine) closeWork(v *ledger.SettleEpoch, w *ledger.Work) error {
	if len(v.Leaves) > 0 {
		if root, _, err := ledger.Tree(v.Leaves); err != nil || root != v.Root {
			return fmt.Errorf("%w: the leaves are not the root's", ledger.ErrMalformed)
		}
	}
	s := ledger.SplitGross(w.Gross, m.params)
	if err := m.backUnits(v.Gate, v.Model, v.Root.Units, w.Tokens, &s); err != nil {
		return err
	}
	if err := m.split(v.Epoch, v.Model, v.Gate, v.Root, s, w); err != nil {
		return err
	}
	for _, l := range v.Leaves {
		if err := m.payLeaf(v.Epoch, v.Model, v.Gate, l, w); err != nil {
			return err
		}
	}
	if w.Claimed >= w.Root.Units {
		return m.judgeRest(v.Epoch, v.Model, v.Gate, w)
	}
	m.due(w.Until, ledger.KeyWork(v.Epoch, v.Model, v.Gate))
	return nil
}

// split closes a gate's work under a root: the gate is paid, the pool waits for
// the holders. Without units there is no pool: it goes to the treasury.
func (m *Machine) split(epoch uint64, model ledger.Hash, gate ledger.Key, root ledger.Node, s ledger.Split, w *ledger.Work) error {
	w.Closed, w.Root, w.Pool, w.Left, w.Burned = true, root, s.Pool, s.Pool, s.Burn
	w.Until = m.clock.Height + m.params.DisputeBlocks
	m.event(ledger.Event{Kind: ledger.EventSettled, Epoch: epoch, Peer: gate, ID: model, Amount: w.Gross})
	if err := m.burn(PotWork, s.Burn); err != nil {
		return err
	}
	if err := m.move(pot(PotWork), pot(PotTreasury), s.Treasury); err != nil {
		return err
	}
	if err := m.pay(gate, epoch, s.Gate, *w); err != nil {
		return err
	}
	var r ledger.Revenue
	m.get(ledger.KeyRevenue(), &r)
	r.Now += w.Gross - s.Burn - s.Treasury // what a bond added is no revenue
	m.set(ledger.KeyRevenue(), &r)
	if root.Units == 0 {
		return m.sweepPool(w)
	}
	return nil
}

// payLeaf pays a holder its share of the pool, once.
func (m *Machine) payLeaf(epoch uint64, model ledger.Hash, gate ledger.Key, l ledger.Leaf, w *ledger.Work) error {
	key := ledger.KeyClaim(epoch, model, gate, l.Holder)
	if m.get(key, new(ledger.Claimed)) {
		return fmt.Errorf("%w: the claim of %v", ledger.ErrDuplicate, l.Holder)
	}
	share := min(ledger.Share(w.Pool, l.Units, w.Root.Units), w.Left)
	w.Left -= share
	w.Claimed += l.Units
	m.set(key, &ledger.Claimed{Units: l.Units, Amount: share})
	if err := m.pay(l.Holder, epoch, share, *w); err != nil {
		return err
	}
	m.credit(l.Holder, l.Units, l.Passed, *w)
	if w.Claimed >= w.Root.Units {
		if err := m.sweepPool(w); err != nil {
			return err
		}
	}
	return m.answerReceipt(epoch, model, gate, l, w)
}

// credit counts work for the leaderboard. Work that nobody paid for counts
// nothing, or anybody could write down any number for a friend.
func (m *Machine) credit(k ledger.Key, units, passed uint64, w ledger.Work) {
	p, err := m.provider(k)
	if err != nil || w.Gross == 0 {
		return
	}
	p.Served = addUpTo(p.Served, units)
	p.Passed = addUpTo(p.Passed, passed)
	m.putProvider(k, p)
}

// addUpTo is a sum that stays at the largest number.
func addUpTo(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// sweepPool sends what is left of a pool to the treasury.
func (m *Machine) sweepPool(w *ledger.Work) error {
	dust := w.Left
	w.Left = 0
	return m.move(pot(PotWork), pot(PotTreasury), dust)
}

// pay gives income of an epoch out of the pot of work: no more than the
// provider's bond may earn in an epoch, the rest goes to the treasury.
func (m *Machine) pay(k ledger.Key, epoch uint64, n ledger.Amount, w ledger.Work) error {
	if n == 0 {
		return nil
	}
	earned := m.earn(k, epoch, n)
	if err := m.move(pot(PotWork), account(k), earned); err != nil {
		return err
	}
	if earned > 0 && w.Gross > 0 {
		var burned ledger.Count
		m.get(ledger.KeyBonus(k), &burned)
		// A pool that a bond added to may be more than all that was paid.
		burned.N += ledger.MulDiv(uint64(w.Burned), uint64(earned), uint64(max(w.Gross, w.Pool)))
		m.set(ledger.KeyBonus(k), &burned)
	}
	return m.move(pot(PotWork), pot(PotTreasury), n-earned)
}

// earn books income of an epoch and returns how much of it the bond allows.
func (m *Machine) earn(k ledger.Key, epoch uint64, n ledger.Amount) ledger.Amount {
	p, err := m.provider(k)
	if err != nil {
		return 0
	}
	var had ledger.Count
	m.get(ledger.KeyIncome(epoch, k), &had)
	most := ledger.IncomeCap(p.Bond, m.params)
	n = min(n, most-min(most, ledger.Amount(had.N)))
	if n == 0 {
		return 0
	}
	had.N += uint64(n)
	p.Earned += n
	m.set(ledger.KeyIncome(epoch, k), &had)
	m.putProvider(k, p)
	m.event(ledger.Event{Kind: ledger.EventPaid, Epoch: epoch, Peer: k, Amount: n})
	return n
}

func (m *Machine) claim(v *ledger.Claim) error {
	key := ledger.KeyWork(v.Epoch, v.Model, v.Gate)
	var w ledger.Work
	switch {
	case !m.get(key, &w):
		return fmt.Errorf("%w: nothing of gate %v for epoch %d; is it past its time?", ledger.ErrUnknown, v.Gate, v.Epoch)
	case !w.Closed:
		return fmt.Errorf("%w: gate %v has not closed epoch %d", ledger.ErrTooEarly, v.Gate, v.Epoch)
	case !v.Proof.Holds(v.Leaf, w.Root):
		return fmt.Errorf("%w: no proof of this leaf", ledger.ErrMalformed)
	}
	if err := m.payLeaf(v.Epoch, v.Model, v.Gate, v.Leaf, &w); err != nil {
		return err
	}
	if w.Claimed >= w.Root.Units {
		if err := m.judgeRest(v.Epoch, v.Model, v.Gate, &w); err != nil {
			return err
		}
	}
	m.set(key, &w)
	return nil
}

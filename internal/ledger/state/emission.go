package state

import (
	"math/bits"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// emit mints what an epoch is to have: a part for those who make blocks, a part
// of the burn back to those whose paid work caused it, and the rest by audited
// work. What nobody may take is not minted.
func (m *Machine) emit(epoch uint64, work []seen) error {
	var r ledger.Revenue
	m.get(ledger.KeyRevenue(), &r)
	copy(r.Last[1:], r.Last[:])
	r.Last[0], r.Now = r.Now, 0
	m.set(ledger.KeyRevenue(), &r)
	left := ledger.Emission(epoch, ledger.Median(r.Last[:]), m.money.Supply(), m.params)
	validators := ledger.Bps(left, m.params.ValidatorBps)
	if err := m.mint(pot(PotValidators), validators); err != nil {
		return err
	}
	left -= validators
	spent, err := m.emitBonus(epoch, left)
	if err != nil {
		return err
	}
	return m.emitByWork(epoch, left-spent, work)
}

func (m *Machine) mint(to Account, n ledger.Amount) error {
	if n == 0 {
		return nil
	}
	m.event(ledger.Event{Kind: ledger.EventMinted, Peer: to.Key, Amount: n})
	return m.money.Mint(to, n)
}

// emitBonus gives no more for paid work than it burned, so that paying oneself
// loses the rest of the fee.
func (m *Machine) emitBonus(epoch uint64, limit ledger.Amount) (spent ledger.Amount, err error) {
	for _, key := range m.keys(ledger.Prefix("bonus")) {
		var burned ledger.Count
		m.get(key, &burned)
		m.kv.Delete(key)
		k := ledger.Key(key[len(key)-32:])
		n := m.earn(k, epoch, min(ledger.Bps(ledger.Amount(burned.N), m.params.BonusBps), limit-spent))
		if err := m.mint(account(k), n); err != nil {
			return 0, err
		}
		spent += n
	}
	return spent, nil
}

// emitByWork divides an amount by audited work, weighed by reputation and held
// down by bonds.
func (m *Machine) emitByWork(epoch uint64, amount ledger.Amount, work []seen) error {
	earners := make([]ledger.Earner, len(work))
	for i, s := range work {
		if p, err := m.provider(s.peer); err == nil {
			earners[i] = ledger.Earner{Work: ledger.MulDiv(s.audited, uint64(s.score), ledger.BpsOne), Bond: p.Bond, Many: 1}
		}
	}
	weights := ledger.EmissionWeights(earners, m.params.EmissionBondBps)
	var total uint64
	for i, w := range weights {
		sum, carry := bits.Add64(total, w, 0)
		if carry != 0 {
			weights[i] = 0
			continue
		}
		total = sum
	}
	for i, s := range work {
		n := m.earn(s.peer, epoch, ledger.Share(amount, weights[i], total))
		if err := m.mint(account(s.peer), n); err != nil {
			return err
		}
	}
	return nil
}

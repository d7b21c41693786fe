package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// dispute takes a receipt of an epoch that is over. Before the gate closes, and
// while its leaf may still come by a claim, the receipt waits; then it is
// judged: no jury is needed, since the gate signed it.
func (m *Machine) dispute(v *ledger.DisputeReceipt) error {
	r := v.Receipt
	if r.Epoch >= m.clock.Epoch {
		return fmt.Errorf("%w: epoch %d is not over", ledger.ErrTooEarly, r.Epoch)
	}
	if err := ledger.Verify(m.chain, r); err != nil {
		return err
	}
	if _, err := m.provider(r.Gate); err != nil {
		return err
	}
	key := ledger.KeyWork(r.Epoch, r.Model, r.Gate)
	var w ledger.Work
	if !m.get(key, &w) && m.clock.Epoch-r.Epoch > SettleEpochs {
		return fmt.Errorf("%w: epoch %d of gate %v", ledger.ErrTooLate, r.Epoch, r.Gate)
	}
	var had ledger.Claimed
	known := m.get(ledger.KeyClaim(r.Epoch, r.Model, r.Gate, r.Holder), &had)
	switch {
	case known && r.Units <= had.Units:
		return fmt.Errorf("%w: the gate settled %d units, the receipt has %d", ledger.ErrDuplicate, had.Units, r.Units)
	case w.Closed && (known || w.Claimed >= w.Root.Units):
		if err := m.judge(r, had, &w); err != nil {
			return err
		}
	default:
		if err := m.showReceipt(r, &w); err != nil {
			return err
		}
	}
	m.set(key, &w)
	return nil
}

// showReceipt keeps a receipt until it is answered.
func (m *Machine) showReceipt(r ledger.Receipt, w *ledger.Work) error {
	key := ledger.KeyReceipt(r.Epoch, r.Model, r.Gate, r.Holder)
	var shown ledger.Receipt
	if m.get(key, &shown) && shown.Units >= r.Units {
		return fmt.Errorf("%w: a receipt of %d units", ledger.ErrDuplicate, shown.Units)
	}
	m.set(key, &r)
	if w.Closed {
		w.Until = max(w.Until, m.clock.Height+m.params.DisputeBlocks)
		m.due(w.Until, ledger.KeyWork(r.Epoch, r.Model, r.Gate))
	}
	return nil
}

// judge makes the gate's bond pay what a receipt has over what was settled, at
// the rate of the pool, and punishes the gate once for its settlement. That is
// income as any other: the holder's own bond bounds it, or a gate would carry its
// bond off to a friend before it loses it.
func (m *Machine) judge(r ledger.Receipt, had ledger.Claimed, w *ledger.Work) error {
	short := r.Units - had.Units
	value := ledger.Amount(ledger.MulDiv(uint64(w.Pool), short, max(w.Root.Units, short)))
	paid, err := m.takeBond(r.Gate, value)
	if err != nil {
		return err
	}
	earned := m.earn(r.Holder, r.Epoch, paid)
	if err := m.move(pot(PotBond), account(r.Holder), earned); err != nil {
		return err
	}
	if err := m.move(pot(PotBond), pot(PotTreasury), paid-earned); err != nil {
		return err
	}
	m.set(ledger.KeyClaim(r.Epoch, r.Model, r.Gate, r.Holder), &ledger.Claimed{Units: r.Units, Amount: had.Amount + earned})
	m.credit(r.Holder, short, 0, *w)
	if w.Lied {
		return nil
	}
	w.Lied = true
	return m.slash(r.Gate, m.params.UnderreportBps, r.Holder)
}

// answerReceipt compares a leaf that was just paid with a receipt that waits.
func (m *Machine) answerReceipt(epoch uint64, model ledger.Hash, gate ledger.Key, l ledger.Leaf, w *ledger.Work) error {
	key := ledger.KeyReceipt(epoch, model, gate, l.Holder)
	var r ledger.Receipt
	if !m.get(key, &r) {
		return nil
	}
	m.kv.Delete(key)
	if r.Units <= l.Units {
		return nil
	}
	var had ledger.Claimed
	m.get(ledger.KeyClaim(epoch, model, gate, l.Holder), &had)
	return m.judge(r, had, w)
}

// judgeRest judges all receipts that still wait: no leaf comes any more.
func (m *Machine) judgeRest(epoch uint64, model ledger.Hash, gate ledger.Key, w *ledger.Work) error {
	for _, key := range m.keys(ledger.PrefixReceipts(epoch, model, gate)) {
		var r ledger.Receipt
		m.get(key, &r)
		m.kv.Delete(key)
		if err := m.judge(r, ledger.Claimed{}, w); err != nil {
			return err
		}
	}
	return nil
}

// workDue looks at a settlement at the height to which its gate could answer.
func (m *Machine) workDue(key []byte) error {
	var w ledger.Work
	if !m.get(key, &w) || !w.Closed || w.Until > m.clock.Height {
		return nil // swept, or disputed again since
	}
	model, gate := ledger.Hash(key[len(key)-64:len(key)-32]), ledger.Key(key[len(key)-32:])
	if err := m.judgeRest(ledger.EpochOf("work", key), model, gate, &w); err != nil {
		return err
	}
	m.set(key, &w)
	return nil
}

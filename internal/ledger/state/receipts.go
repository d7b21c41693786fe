package state

import (
	"errors"
	"math/bits"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// maxSilentReceipts bounds the receipts that share what a silent gate
// collected; the first in the order of keys do.
const maxSilentReceipts = 1024

// closeByReceipts closes the work of a gate that did not: the receipts that
// were shown are the leaves.
func (m *Machine) closeByReceipts(epoch uint64, model ledger.Hash, gate ledger.Key, w *ledger.Work) error {
	var leaves []ledger.Leaf
	var total uint64
	for _, key := range m.keys(ledger.PrefixReceipts(epoch, model, gate)) {
		var r ledger.Receipt
		m.get(key, &r)
		m.kv.Delete(key)
		sum, carry := bits.Add64(total, r.Units, 0)
		if carry != 0 || len(leaves) == maxSilentReceipts {
			continue
		}
		total = sum
		leaves = append(leaves, ledger.Leaf{Holder: r.Holder, Units: r.Units, Passed: r.Passed})
	}
	s := ledger.SplitGross(w.Gross, m.params)
	if err := m.backUnits(gate, model, total, w.Tokens, &s); errors.Is(err, ledger.ErrCap) {
		if err := m.forfeit(gate, &s); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := m.split(epoch, model, gate, ledger.Node{Units: total}, s, w); err != nil {
		return err
	}
	for _, l := range leaves {
		if err := m.payLeaf(epoch, model, gate, l, w); err != nil {
			return err
		}
	}
	return nil
}

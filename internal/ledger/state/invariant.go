package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Audit says whether every pot holds what the records say, to the unit. It reads
// the whole state.
func (m *Machine) Audit() error {
	want := map[Pot]ledger.Amount{}
	for _, key := range m.keys(ledger.Prefix("prov")) {
		var p ledger.Provider
		m.get(key, &p)
		want[PotBond] += p.Stake()
	}
	for _, key := range m.keys(ledger.Prefix("rwd")) {
		var waits ledger.Count
		m.get(key, &waits)
		want[PotBond] += ledger.Amount(waits.N)
	}
	for _, key := range m.keys(ledger.Prefix("esc")) {
		var e ledger.Escrow
		m.get(key, &e)
		now := e.At(m.clock.Epoch)
		if now.Reserved() > now.Balance {
			return fmt.Errorf("escrow %x: %v reserved of %v", key, now.Reserved(), now.Balance)
		}
		want[PotEscrow] += e.Balance
	}
	for _, key := range m.keys(ledger.Prefix("work")) {
		var w ledger.Work
		if m.get(key, &w); w.Closed {
			want[PotWork] += w.Left
		} else {
			want[PotWork] += w.Gross
		}
	}
	for _, key := range m.keys(ledger.Prefix("case")) {
		var k ledger.Case
		m.get(key, &k)
		want[PotCase] += k.Bond + k.AppealBond
	}
	for _, p := range []Pot{PotBond, PotEscrow, PotWork, PotCase} {
		if have := m.money.Balance(pot(p)); have != want[p] {
			return fmt.Errorf("the pot of %v holds %d, records say %d", p, have, want[p])
		}
	}
	return nil
}

package state

import (
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// takeBond takes up to n from a provider's stake, what is bonded first, and
// says how much that was. The coins stay in PotBond.
func (m *Machine) takeBond(k ledger.Key, n ledger.Amount) (ledger.Amount, error) {
	p, err := m.provider(k)
	if err != nil {
		return 0, err
	}
	m.count(&p)
	part := min(n, p.Bond)
	p.Bond -= part
	taken := part
	for i := range p.Unbonding {
		part = min(n-taken, p.Unbonding[i].Amount)
		p.Unbonding[i].Amount -= part
		taken += part
	}
	m.putProvider(k, p)
	if taken > 0 {
		m.event(ledger.Event{Kind: ledger.EventSlashed, Peer: k, Amount: taken})
	}
	return taken, nil
}

// slash takes a share of a provider's stake: part of it is burned, part is the
// finders', who divide it evenly, the rest goes to the treasury. Nobody finds
// himself.
func (m *Machine) slash(k ledger.Key, bps uint64, finders ...ledger.Key) error {
	p, err := m.provider(k)
	if err != nil {
		return err
	}
	taken, err := m.takeBond(k, ledger.Bps(p.Stake(), bps))
	if err != nil {
		return err
	}
	burn := ledger.Bps(taken, m.params.SlashBurnBps)
	if err := m.burn(PotBond, burn); err != nil {
		return err
	}
	given := ledger.Amount(0)
	if reward := ledger.Bps(taken, m.params.SlashRewardBps); len(finders) > 0 {
		each := reward / ledger.Amount(len(finders))
		for _, f := range finders {
			if f == k {
				continue
			}
			if err := m.move(pot(PotBond), account(f), each); err != nil {
				return err
			}
			given += each
		}
	}
	return m.move(pot(PotBond), pot(PotTreasury), taken-burn-given)
}

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

// slash takes a share of a provider's stake: part of it is burned, part is for
// who found it and for jurors, half for each, and the rest goes to the treasury.
// Nobody finds himself, but anybody may have a friend: the part given away is
// that of a first strike at most, and the finder waits for his, see reward.
// Jurors were drawn, and have theirs at once. No finder is the zero key.
func (m *Machine) slash(k ledger.Key, bps uint64, finder ledger.Key, jurors ...ledger.Key) error {
	p, err := m.provider(k)
	if err != nil {
		return err
	}
	if err := m.cutRewards(k, bps); err != nil {
		return err
	}
	stake := p.Stake()
	taken, err := m.takeBond(k, ledger.Bps(stake, bps))
	if err != nil {
		return err
	}
	share := ledger.Bps(taken, m.params.SlashRewardBps)
	reward := min(share, ledger.Bps(ledger.Bps(stake, m.params.StrikeBps1), m.params.SlashRewardBps))
	burn := ledger.Bps(taken, m.params.SlashBurnBps) + share - reward
	if err := m.burn(PotBond, burn); err != nil {
		return err
	}
	given, err := m.give(k, reward, finder, jurors)
	if err != nil {
		return err
	}
	return m.move(pot(PotBond), pot(PotTreasury), taken-burn-given)
}

// give divides the reward of a slash, and says how much of it has a taker.
func (m *Machine) give(culprit ledger.Key, reward ledger.Amount, finder ledger.Key, jurors []ledger.Key) (given ledger.Amount, err error) {
	if n := ledger.Amount(len(jurors)); n > 0 {
		each := reward / (2 * n)
		for _, j := range jurors {
			if err := m.move(pot(PotBond), account(j), each); err != nil {
				return 0, err
			}
		}
		given, reward = n*each, n*each
	}
	if finder == culprit || finder == (ledger.Key{}) || reward == 0 {
		return given, nil
	}
	m.reward(culprit, finder, reward)
	return given + reward, nil
}

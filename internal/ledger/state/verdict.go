package state

import "github.com/moeswarm/moeswarm/internal/ledger"

// jailEpochs is for how long who was found guilty neither gates nor judges.
const jailEpochs = 24

// finish ends a case: the last finding stands, and who pays whom follows from
// it. All money of the case leaves its pot.
func (m *Machine) finish(id ledger.Hash, k *ledger.Case) error {
	k.Phase = ledger.PhaseFinal
	m.dropDuties(id, k)
	final := k.First
	if k.Appealed && k.Second.Finding != ledger.NoFinding {
		final = k.Second
	}
	if final.Finding == ledger.NoFinding {
		m.kv.Delete(ledger.KeyEvidence(k.Evidence))
	}
	right := append(agreeing(k.First, final), agreeing(k.Second, final)...)
	if final.Finding == ledger.Guilty {
		if err := m.convict(k, right); err != nil {
			return err
		}
	} else {
		p, err := m.provider(k.Accused)
		if err != nil {
			return err
		}
		p.OpenCases--
		m.putProvider(k.Accused, p)
	}
	if err := m.payFees(k, final); err != nil {
		return err
	}
	return m.punishJurors(k, final)
}

// agreeing are the jurors of a panel who ruled as the final ruling; without one,
// all who ruled.
func agreeing(p, final ledger.Panel) []ledger.Key {
	var keys []ledger.Key
	for _, j := range p.Jurors {
		if j.State == ledger.JurorRevealed && (final.Finding == ledger.NoFinding || j.Ruling == final.Ruling) {
			keys = append(keys, j.Peer)
		}
	}
	return keys
}

// convict slashes by the number of strikes; half of the reward is the
// challenger's, half the jurors'.
func (m *Machine) convict(k *ledger.Case, jurors []ledger.Key) error {
	p, err := m.provider(k.Accused)
	if err != nil {
		return err
	}
	now := m.clock.Epoch
	if now-p.StrikeEpoch > m.params.StrikeEpochs {
		p.Strikes = 0
	}
	p.Strikes = min(p.Strikes+1, 3)
	p.StrikeEpoch, p.Jailed = now, now+jailEpochs
	p.OpenCases--
	m.putProvider(k.Accused, p)
	bps := []uint64{m.params.StrikeBps1, m.params.StrikeBps2, m.params.StrikeBps3}[p.Strikes-1]
	return m.slash(k.Accused, bps, k.Challenger, jurors...)
}

// payFees gives each panel its fee. The first is paid by who accused in vain,
// the second by who lost the appeal. A conviction pays the first by its slash.
func (m *Machine) payFees(k *ledger.Case, final ledger.Panel) error {
	back := map[ledger.Key]ledger.Amount{}
	fees := [2]ledger.Amount{}
	bond := k.Bond
	if final.Finding != ledger.Guilty {
		fees[0] = min(bond, ledger.Amount(m.params.JuryFee))
		bond -= fees[0]
	}
	if k.Appealed {
		won := k.Second.Finding != ledger.NoFinding && (k.Second.Finding == ledger.Guilty) == (k.Appellant == k.Challenger)
		switch {
		case !won:
			fees[1] = k.AppealBond
		case k.Appellant == k.Accused: // the challenger had a false conviction
			fees[1] = min(bond, k.AppealBond)
			bond -= fees[1]
			back[k.Accused] += k.AppealBond
		default: // the slash pays
			back[k.Challenger] += k.AppealBond
		}
	}
	back[k.Challenger] += bond
	for _, side := range []ledger.Key{k.Challenger, k.Accused} {
		if err := m.move(pot(PotCase), account(side), back[side]); err != nil {
			return err
		}
	}
	if final.Finding == ledger.Innocent {
		if _, err := m.provider(k.Challenger); err == nil {
			if err := m.slash(k.Challenger, m.params.FalseCaseBps, ledger.Key{}); err != nil {
				return err
			}
		}
	}
	for i, panel := range []ledger.Panel{k.First, k.Second} {
		if err := m.divide(fees[i], agreeing(panel, final)); err != nil {
			return err
		}
	}
	k.Bond, k.AppealBond = 0, 0
	return nil
}

// divide pays a fee out of the pot of cases, evenly; what is left over goes to
// the treasury.
func (m *Machine) divide(fee ledger.Amount, among []ledger.Key) error {
	if len(among) > 0 {
		each := fee / ledger.Amount(len(among))
		for _, k := range among {
			if err := m.move(pot(PotCase), account(k), each); err != nil {
				return err
			}
			fee -= each
		}
	}
	return m.move(pot(PotCase), pot(PotTreasury), fee)
}

// punishJurors slashes who ruled against the ruling of an appeal.
func (m *Machine) punishJurors(k *ledger.Case, final ledger.Panel) error {
	if !k.Appealed || k.Second.Finding == ledger.NoFinding {
		return nil
	}
	for _, j := range append(append([]ledger.Juror(nil), k.First.Jurors...), k.Second.Jurors...) {
		if j.State == ledger.JurorRevealed && j.Ruling != final.Ruling {
			if err := m.slash(j.Peer, m.params.JurorAgainstBps, ledger.Key{}); err != nil {
				return err
			}
		}
	}
	return nil
}

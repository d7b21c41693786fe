package state

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// minJurors is the least jury that may find anything.
const minJurors = 3

// drawJury draws the panel from the beacon of this block.
func (m *Machine) drawJury(id ledger.Hash, k *ledger.Case) error {
	size, what := m.params.JurySize, "jury/"
	if k.Appealed {
		size, what = m.params.AppealSize, "appeal/"
	}
	drawn := ledger.Draw(m.clock.Rnd, what+string(id[:]), m.jurors(k), int(size))
	if len(drawn) < minJurors {
		return m.ruled(id, k)
	}
	panel := k.Panel()
	for _, c := range drawn {
		panel.Jurors = append(panel.Jurors, ledger.Juror{Peer: c.Peer})
		m.addDuty(id, c.Peer)
		m.event(ledger.Event{Kind: ledger.EventJuror, Peer: c.Peer, ID: id})
	}
	m.enter(id, k, ledger.PhaseCommit, m.params.CommitBlocks)
	return nil
}

// jurors are who may judge a case: bonded, present, with time for it, in no team
// and in no network with either side, and for outputs, gates of the model.
func (m *Machine) jurors(k *ledger.Case) []ledger.Candidate {
	sides := []ledger.Key{k.Accused, k.Challenger}
	teams, nets := map[string]bool{}, map[ledger.Net]bool{}
	for _, s := range sides {
		p, err := m.provider(s)
		if err == nil && p.Team != "" {
			teams[p.Team] = true
		}
		for _, n := range p.Nets {
			nets[n] = true
		}
	}
	now := m.clock.Epoch
	var bonds []ledger.Candidate
	for _, key := range m.keys(ledger.Prefix("prov")) {
		var p ledger.Provider
		m.get(key, &p)
		peer := ledger.Key(key[len(key)-32:])
		sat := slices.ContainsFunc(k.First.Jurors, func(j ledger.Juror) bool { return j.Peer == peer })
		able := p.Roles&(ledger.RoleGate|ledger.RoleHolder) != 0 && (k.Kind == ledger.CaseResult || p.Gates(k.Model))
		present := p.BeatIn(now) || now > 0 && p.BeatIn(now-1)
		near := teams[p.Team] || slices.ContainsFunc(p.Nets, func(n ledger.Net) bool { return nets[n] })
		if able && present && !sat && !near && !slices.Contains(sides, peer) && m.hasTime(peer) &&
			p.Jailed <= now && p.BondAt(now) >= ledger.Amount(m.params.MinHolderBond) {
			bonds = append(bonds, ledger.Candidate{Peer: peer, Weight: uint64(p.BondAt(now))})
		}
	}
	return m.weigh(bonds)
}

// juror finds the signer in the panel that sits.
func juror(k *ledger.Case, signer ledger.Key) (*ledger.Juror, error) {
	panel := k.Panel()
	for i := range panel.Jurors {
		if panel.Jurors[i].Peer == signer {
			return &panel.Jurors[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %v is no juror of this case", ledger.ErrUnauthorized, signer)
}

func (m *Machine) commitVerdict(signer ledger.Key, v *ledger.CommitVerdict) error {
	k, err := m.openPhase(v.Case, ledger.PhaseCommit)
	if err != nil {
		return err
	}
	j, err := juror(&k, signer)
	if err != nil {
		return err
	}
	j.State, j.Commit = ledger.JurorCommitted, v.Commit
	m.set(ledger.KeyCase(v.Case), &k)
	return nil
}

func (m *Machine) revealVerdict(signer ledger.Key, v *ledger.RevealVerdict) error {
	k, err := m.openPhase(v.Case, ledger.PhaseReveal)
	if err != nil {
		return err
	}
	j, err := juror(&k, signer)
	switch {
	case err != nil:
		return err
	case j.State == ledger.JurorRevealed:
		return fmt.Errorf("%w: the ruling", ledger.ErrDuplicate)
	case j.State != ledger.JurorCommitted || j.Commit != v.Ruling.Commitment(v.Case, k.Appealed, signer, v.Salt):
		return fmt.Errorf("%w: the ruling is not what was committed to", ledger.ErrMalformed)
	}
	j.State, j.Ruling = ledger.JurorRevealed, v.Ruling
	m.set(ledger.KeyCase(v.Case), &k)
	return nil
}

// endReveal counts the rulings and punishes who did not rule.
func (m *Machine) endReveal(id ledger.Hash, k *ledger.Case) error {
	panel := k.Panel()
	for _, j := range panel.Jurors {
		if j.State != ledger.JurorRevealed {
			if err := m.slash(j.Peer, m.params.JurorAbsentBps, ledger.Key{}); err != nil {
				return err
			}
		}
	}
	quorum, size := m.params.JuryQuorum, m.params.JurySize
	if k.Appealed {
		quorum, size = m.params.AppealQuorum, m.params.AppealSize
	}
	var model ledger.Model
	m.get(ledger.KeyModel(k.Model), &model)
	if ruling, ok := Agreed(panel.Jurors, quorum, size); ok {
		panel.Ruling = ruling
		panel.Finding = ledger.Find(ruling, model.Tolerance(k.Kind, k.Class))
	}
	return m.ruled(id, k)
}

// ruled goes on after a panel ended: the first may be appealed.
func (m *Machine) ruled(id ledger.Hash, k *ledger.Case) error {
	if !k.Appealed {
		m.enter(id, k, ledger.PhaseAppeal, m.params.AppealBlocks)
		return nil
	}
	return m.finish(id, k)
}

// Agreed is the ruling that enough jurors gave, word for word: quorum of size,
// scaled up to the jury that was drawn, and more than half of it.
func Agreed(jurors []ledger.Juror, quorum, size uint64) (ledger.Ruling, bool) {
	drawn := uint64(len(jurors))
	need := max((drawn*quorum+size-1)/size, drawn/2+1)
	votes := map[ledger.Ruling]uint64{}
	for _, j := range jurors {
		if j.State == ledger.JurorRevealed {
			if votes[j.Ruling]++; votes[j.Ruling] >= need {
				return j.Ruling, true
			}
		}
	}
	return ledger.Ruling{}, false
}

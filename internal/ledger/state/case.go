package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// openCase accuses the signer of a statement. The evidence is used up, so that
// nobody is tried twice for one deed, unless no jury came to a finding.
func (m *Machine) openCase(signer ledger.Key, v *ledger.OpenCase) error {
	k, deed, err := m.accusation(v)
	if err != nil {
		return err
	}
	p, err := m.provider(k.Accused)
	if err != nil {
		return err
	}
	if k.Accused == signer {
		return fmt.Errorf("%w: nobody accuses himself", ledger.ErrUnauthorized)
	}
	deedID := ledger.Sum([]byte("deed"), deed[:])
	if err := m.useEvidence(deedID, k.Epoch); err != nil {
		return err
	}
	k.Challenger, k.Class, k.Opened = signer, p.Class, m.clock.Height
	k.Evidence, k.Input, k.Output = deedID, v.Input, v.Output
	k.Bond = ledger.Amount(m.params.JuryFee + m.params.AppealFee)
	if err := m.move(account(signer), pot(PotCase), k.Bond); err != nil {
		return err
	}
	p.OpenCases++
	m.putProvider(k.Accused, p)
	id := CaseID(deedID, k.Opened)
	m.addDuty(id, k.Accused)
	m.addDuty(id, signer)
	m.toDraw(id, &k)
	m.putCase(id, &k)
	return nil
}

// CaseID names the case that was opened about a deed at a height.
func CaseID(evidence ledger.Hash, height uint64) ledger.Hash { return ledger.CaseID(evidence, height) }

// accusation reads who is accused of what from a signed statement.
func (m *Machine) accusation(v *ledger.OpenCase) (k ledger.Case, deed ledger.Hash, err error) {
	if len(v.Results) == 1 {
		r := v.Results[0]
		deed = r.Call()
		return ledger.Case{Kind: ledger.CaseResult, Accused: r.Holder, Model: r.Model, Epoch: r.Epoch}, deed, ledger.Verify(m.chain, r)
	}
	c := v.Chunks[0]
	deed = c.Place()
	return ledger.Case{Kind: ledger.CaseOutput, Accused: c.Gate, Model: c.Model, Epoch: c.Epoch}, deed, ledger.Verify(m.chain, c)
}

func (m *Machine) putCase(id ledger.Hash, k *ledger.Case) {
	m.set(ledger.KeyCase(id), k)
	m.event(ledger.Event{Kind: ledger.EventCase, Peer: k.Accused, ID: id, Note: k.Phase.String()})
}

// enter begins a phase that lasts so many blocks.
func (m *Machine) enter(id ledger.Hash, k *ledger.Case, p ledger.Phase, blocks uint64) {
	k.Phase, k.Deadline = p, m.clock.Height+blocks
	m.due(k.Deadline, ledger.KeyCase(id))
}

// drawDelay is after how many blocks a jury is drawn: its seed is of a block
// that nobody had seen when the case was opened.
const drawDelay = 2

func (m *Machine) toDraw(id ledger.Hash, k *ledger.Case) { m.enter(id, k, ledger.PhaseDraw, drawDelay) }

// caseDue ends a case's phase at its deadline.
func (m *Machine) caseDue(key []byte) error {
	var k ledger.Case
	if !m.get(key, &k) || k.Phase == ledger.PhaseFinal || k.Deadline > m.clock.Height {
		return nil // the phase ended otherwise
	}
	id := ledger.Hash(key[len(key)-32:])
	var err error
	switch k.Phase {
	case ledger.PhaseDraw:
		err = m.drawJury(id, &k)
	case ledger.PhaseCommit:
		m.enter(id, &k, ledger.PhaseReveal, m.params.RevealBlocks)
	case ledger.PhaseReveal:
		err = m.endReveal(id, &k)
	case ledger.PhaseAppeal:
		err = m.finish(id, &k)
	}
	if err != nil {
		return err
	}
	m.putCase(id, &k)
	return nil
}

func (m *Machine) openPhase(id ledger.Hash, p ledger.Phase) (ledger.Case, error) {
	var k ledger.Case
	switch {
	case !m.get(ledger.KeyCase(id), &k):
		return k, fmt.Errorf("%w: case %v", ledger.ErrUnknown, id)
	case k.Phase < p:
		return k, fmt.Errorf("%w: case %v is in phase %v", ledger.ErrTooEarly, id, k.Phase)
	case k.Phase > p:
		return k, fmt.Errorf("%w: case %v is in phase %v", ledger.ErrTooLate, id, k.Phase)
	}
	return k, nil
}

// appealCase has a second, larger jury look, once.
func (m *Machine) appealCase(signer ledger.Key, v *ledger.AppealCase) error {
	k, err := m.openPhase(v.Case, ledger.PhaseAppeal)
	switch {
	case err != nil:
		return err
	case signer != k.Accused && signer != k.Challenger:
		return fmt.Errorf("%w: only accused and challenger appeal", ledger.ErrUnauthorized)
	case k.Appealed:
		return fmt.Errorf("%w: the appeal", ledger.ErrDuplicate)
	case (signer == k.Accused) != (k.First.Finding == ledger.Guilty):
		return fmt.Errorf("%w: only who lost appeals; the finding is %v", ledger.ErrUnauthorized, k.First.Finding)
	}
	k.Appealed, k.Appellant, k.AppealBond = true, signer, ledger.Amount(m.params.AppealFee)
	if err := m.move(account(signer), pot(PotCase), k.AppealBond); err != nil {
		return err
	}
	m.toDraw(v.Case, &k)
	m.putCase(v.Case, &k)
	return nil
}

package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// equivocation slashes who signed two statements of which one must be a lie,
// once for each call or place.
func (m *Machine) equivocation(signer ledger.Key, v *ledger.Equivocation) error {
	var culprit ledger.Key
	var epoch uint64
	var id ledger.Hash
	contradict := false
	if len(v.Results) == 2 {
		a, b := v.Results[0], v.Results[1]
		culprit, epoch, id, contradict = a.Holder, a.Epoch, a.Call(), a.Contradicts(b)
	} else {
		a, b := v.Chunks[0], v.Chunks[1]
		culprit, epoch, id, contradict = a.Gate, a.Epoch, a.Place(), a.Contradicts(b)
	}
	if !contradict {
		return fmt.Errorf("%w: the two do not contradict", ledger.ErrMalformed)
	}
	for _, r := range v.Results {
		if err := ledger.Verify(m.chain, r); err != nil {
			return err
		}
	}
	for _, c := range v.Chunks {
		if err := ledger.Verify(m.chain, c); err != nil {
			return err
		}
	}
	if err := m.useEvidence(ledger.Sum([]byte("twice"), id[:]), epoch); err != nil {
		return err
	}
	return m.slash(culprit, m.params.EquivocationBps, signer)
}

// useEvidence marks a proof as used up. Proofs are good while a bond that stood
// behind the deed cannot have left.
func (m *Machine) useEvidence(id ledger.Hash, epoch uint64) error {
	if epoch > m.clock.Epoch {
		return fmt.Errorf("%w: evidence of epoch %d in epoch %d", ledger.ErrTooEarly, epoch, m.clock.Epoch)
	}
	if m.clock.Epoch-epoch > m.params.UnbondEpochs {
		return fmt.Errorf("%w: evidence of epoch %d in epoch %d", ledger.ErrTooLate, epoch, m.clock.Epoch)
	}
	key := ledger.KeyEvidence(id)
	if m.kv.Get(key) != nil {
		return fmt.Errorf("%w: this evidence", ledger.ErrDuplicate)
	}
	m.set(key, &ledger.Count{N: epoch})
	return nil
}

package light

import (
	"crypto/sha256"
	"errors"
	"fmt"

	ics23 "github.com/cosmos/ics23/go"
)

// ErrProof: a node's answer is not what the chain's validators signed.
var ErrProof = errors.New("a ledger node gave a wrong proof")

// maxDepth bounds the steps of a proof: a tree of 2^64 records is not deeper.
const maxDepth = 96

// verify checks a record against the hash of the state that holds it. The error
// wraps ErrProof.
func (r Record) verify(state []byte, store string, key []byte) error {
	inState, err := proofOf(r.InState)
	if err != nil {
		return err
	}
	if r.Value == nil && provesNothing(r.InStore) {
		if root := sha256.Sum256(nil); !ics23.VerifyMembership(ics23.TendermintSpec, state, inState, []byte(store), root[:]) {
			return fmt.Errorf("%w: that store %s is empty", ErrProof, store)
		}
		return nil
	}
	inStore, err := proofOf(r.InStore)
	if err != nil {
		return err
	}
	root, err := inStore.Calculate()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrProof, err)
	}
	if !ics23.VerifyMembership(ics23.TendermintSpec, state, inState, []byte(store), root) {
		return fmt.Errorf("%w: store %s is not of this state", ErrProof, store)
	}
	if r.Value == nil {
		if !ics23.VerifyNonMembership(ics23.IavlSpec, root, inStore, key) {
			return fmt.Errorf("%w: that a record is missing", ErrProof)
		}
		return nil
	}
	if !ics23.VerifyMembership(ics23.IavlSpec, root, inStore, key, r.Value) {
		return fmt.Errorf("%w: of a record", ErrProof)
	}
	return nil
}

// provesNothing says whether a proof has no neighbours of a missing record: it is
// of a store without any, whose root is the hash of nothing.
func provesNothing(b []byte) bool {
	p := &ics23.CommitmentProof{}
	if p.Unmarshal(b) != nil {
		return false
	}
	v, ok := p.Proof.(*ics23.CommitmentProof_Nonexist)
	return ok && v.Nonexist != nil && v.Nonexist.Left == nil && v.Nonexist.Right == nil
}

// proofOf reads a proof, which is of one record and of a sane depth.
func proofOf(b []byte) (*ics23.CommitmentProof, error) {
	p := &ics23.CommitmentProof{}
	if err := p.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	}
	switch v := p.Proof.(type) {
	case *ics23.CommitmentProof_Exist:
		if exists(v.Exist) {
			return p, nil
		}
	case *ics23.CommitmentProof_Nonexist:
		n := v.Nonexist
		if n != nil && (n.Left != nil || n.Right != nil) && (n.Left == nil || exists(n.Left)) && (n.Right == nil || exists(n.Right)) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: it is none", ErrProof)
}

func exists(p *ics23.ExistenceProof) bool {
	if p == nil || p.Leaf == nil || len(p.Path) > maxDepth {
		return false
	}
	for _, step := range p.Path {
		if step == nil {
			return false
		}
	}
	return true
}

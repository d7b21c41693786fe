package light

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

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
	root, err := rootOf(inStore)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrProof, err)
	}
	if !ics23.VerifyMembership(ics23.TendermintSpec, state, inState, []byte(store), root) {
		return fmt.Errorf("%w: store %s is not of this state", ErrProof, store)
	}
	if r.Value == nil {
		if !missing(inStore.GetNonexist(), root, key) {
			return fmt.Errorf("%w: that a record is missing", ErrProof)
		}
		return nil
	}
	if !ics23.VerifyMembership(ics23.IavlSpec, root, inStore, key, r.Value) {
		return fmt.Errorf("%w: of a record", ErrProof)
	}
	return nil
}

// rootOf is the root of the store that a proof is of.
func rootOf(p *ics23.CommitmentProof) ([]byte, error) {
	n := p.GetNonexist()
	switch {
	case n == nil:
		return p.Calculate()
	case n.Left != nil:
		return rootOver(n.Left)
	default:
		return rootOver(n.Right)
	}
}

// missing reports whether a proof shows that a store with this root has no record
// of a key: that its neighbours are in the store with nothing between them. It is
// what ics23 verifies, but for neighbours without a value, which ics23 refuses: the
// bank's index of owners has such records, and begins where the balances end.
func missing(n *ics23.NonExistenceProof, root, key []byte) bool {
	if n == nil || n.Left == nil && n.Right == nil || n.Left != nil && !within(n.Left, root) || n.Right != nil && !within(n.Right, root) {
		return false
	}
	inner := ics23.IavlSpec.InnerSpec
	switch {
	case n.Left != nil && bytes.Compare(n.Left.Key, key) >= 0, n.Right != nil && bytes.Compare(key, n.Right.Key) >= 0:
		return false
	case n.Left == nil:
		return ics23.IsLeftMost(inner, n.Right.Path)
	case n.Right == nil:
		return ics23.IsRightMost(inner, n.Left.Path)
	}
	return ics23.IsLeftNeighbor(inner, n.Left.Path, n.Right.Path)
}

// within reports whether a record is in the store with this root.
func within(p *ics23.ExistenceProof, root []byte) bool {
	if p.CheckAgainstSpec(ics23.IavlSpec) != nil {
		return false
	}
	got, err := rootOver(p)
	return err == nil && bytes.Equal(got, root)
}

// rootOver is the root of the store over a record, which may be without a value.
func rootOver(p *ics23.ExistenceProof) ([]byte, error) {
	if len(p.Value) > 0 {
		return p.Calculate()
	}
	if len(p.Key) == 0 {
		return nil, errors.New("a record without a key")
	}
	value := sha256.Sum256(nil)
	leaf := binary.AppendUvarint(slices.Clone(p.Leaf.Prefix), uint64(len(p.Key)))
	leaf = binary.AppendUvarint(append(leaf, p.Key...), uint64(len(value)))
	sum := sha256.Sum256(append(leaf, value[:]...))
	root := sum[:]
	for _, step := range p.Path {
		var err error
		if root, err = step.Apply(root); err != nil {
			return nil, err
		}
	}
	return root, nil
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

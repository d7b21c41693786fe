package ledger

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Leaf is what a gate owes a holder for an epoch.
type Leaf struct {
	Holder Key
	Units  uint64
	Passed uint64
}

func (l *Leaf) code(c *coder) {
	c.key(&l.Holder)
	c.u64(&l.Units)
	c.u64(&l.Passed)
}

// A tree of leaves hashes sums along: every node commits to the units below
// it, so a root names the total and no set of proofs can exceed it.

// Node is a subtree: its hash and the sum of its units.
type Node struct {
	Hash  Hash
	Units uint64
}

func (n *Node) code(c *coder) {
	c.hash(&n.Hash)
	c.u64(&n.Units)
}

// MaxProof bounds the nodes of a proof: trees of 2^20 leaves.
const MaxProof = 20

// Proof shows a leaf of a tree: bit i of Index says on which side step i is.
type Proof struct {
	Index uint32
	Path  []Node
}

func (p *Proof) code(c *coder) {
	c.u32(&p.Index)
	list(c, &p.Path, MaxProof, 40, func(c *coder, n *Node) { n.code(c) })
}

func leafNode(l Leaf) Node {
	b := append([]byte{0}, l.Holder[:]...)
	b = binary.BigEndian.AppendUint64(b, l.Units)
	return Node{Sum(binary.BigEndian.AppendUint64(b, l.Passed)), l.Units}
}

func join(l, r Node) (Node, bool) {
	sum, carry := bits.Add64(l.Units, r.Units, 0)
	b := append([]byte{1}, l.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, l.Units)
	b = append(b, r.Hash[:]...)
	return Node{Sum(binary.BigEndian.AppendUint64(b, r.Units)), sum}, carry == 0
}

// Tree is the root of leaves in the order given and a proof of each. A level's
// odd last node goes up as it is. There are 1 to 2^20 leaves.
func Tree(leaves []Leaf) (Node, []Proof, error) {
	if len(leaves) == 0 || len(leaves) > 1<<MaxProof {
		return Node{}, nil, fmt.Errorf("%w: a tree of %d leaves", ErrMalformed, len(leaves))
	}
	level := make([]Node, len(leaves))
	proofs := make([]Proof, len(leaves))
	at := make([]int, len(leaves)) // of each leaf in the level
	for i, l := range leaves {
		level[i], at[i] = leafNode(l), i
	}
	for len(level) > 1 {
		for i := range proofs {
			p := &proofs[i]
			if sib := at[i] ^ 1; sib < len(level) {
				p.Index |= uint32(at[i]&1) << len(p.Path)
				p.Path = append(p.Path, level[sib])
			}
			at[i] /= 2
		}
		next := make([]Node, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			n, ok := join(level[i], level[i+1])
			if !ok {
				return Node{}, nil, fmt.Errorf("%w: units of a tree overflow", ErrMalformed)
			}
			next = append(next, n)
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
	}
	return level[0], proofs, nil
}

// Holds says whether the leaf is in the tree of this root.
func (p Proof) Holds(l Leaf, root Node) bool {
	if len(p.Path) > MaxProof || p.Index>>len(p.Path) != 0 {
		return false
	}
	n, ok := leafNode(l), true
	for i, side := range p.Path {
		if p.Index>>i&1 == 1 {
			n, ok = join(side, n)
		} else {
			n, ok = join(n, side)
		}
		if !ok {
			return false
		}
	}
	return n == root
}

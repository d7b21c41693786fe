package court

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Frame is one frame of calls and its answer. Its rows of output are numbered
// through: those of call 0 in the order of its rows, then those of call 1 ….
type Frame struct {
	In      expert.Batch
	Calls   []expert.Call
	Results []expert.Result // one per call, without errors
}

// Roots are what the holder signs: how many rows of output there are, the root
// over what they are made of, and the root over themselves.
func (f Frame) Roots() (rows uint32, in, out ledger.Hash) {
	x, y := f.leaves()
	return uint32(len(x)), root(x), root(y)
}

// leaves hashes each row of output, and what it is made of: an expert and a row
// of input. A row that goes to several experts is hashed once.
func (f Frame) leaves() (in, out []ledger.Hash) {
	seen := make(map[int32]ledger.Hash, f.In.Rows)
	buf := make([]byte, 0, 4*f.In.Dim+16)
	for i, c := range f.Calls {
		for k, r := range c.Rows {
			h, ok := seen[r]
			if !ok {
				h = sha256.Sum256(floats(buf, f.In.Row(int(r))))
				seen[r] = h
			}
			in = append(in, inLeaf(c.Expert.Index, h))
			out = append(out, outLeaf(buf, f.Results[i].Out.Row(k)))
		}
	}
	return in, out
}

// floats appends values, little-endian.
func floats(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// The hashes of leaves and of nodes begin with different bytes, so that neither
// passes for another.
const (
	inTag   = 0
	nodeTag = 1
	outTag  = 2
)

func inLeaf(index uint16, row ledger.Hash) ledger.Hash {
	b := binary.BigEndian.AppendUint16([]byte{inTag}, index)
	return sha256.Sum256(append(b, row[:]...))
}

func outLeaf(buf []byte, row []float32) ledger.Hash {
	return sha256.Sum256(floats(append(buf, outTag), row))
}

func join(l, r ledger.Hash) ledger.Hash {
	var b [65]byte
	b[0] = nodeTag
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

// up is the next level of a tree. An odd last node goes up as it is.
func up(level []ledger.Hash) []ledger.Hash {
	next := level[:0:0]
	for i := 0; i+1 < len(level); i += 2 {
		next = append(next, join(level[i], level[i+1]))
	}
	if len(level)%2 == 1 {
		next = append(next, level[len(level)-1])
	}
	return next
}

func root(level []ledger.Hash) ledger.Hash {
	if len(level) == 0 {
		return ledger.Hash{}
	}
	for len(level) > 1 {
		level = up(level)
	}
	return level[0]
}

// path is what proves leaf i.
func path(level []ledger.Hash, i int) (p []ledger.Hash) {
	for ; len(level) > 1; level, i = up(level), i/2 {
		if s := i ^ 1; s < len(level) {
			p = append(p, level[s])
		}
	}
	return p
}

// steps is how long the path of leaf i of n is.
func steps(i, n int) (k int) {
	for ; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 < n {
			k++
		}
	}
	return k
}

// climb is the root that leaf i of n has by a path of steps(i, n) hashes.
func climb(leaf ledger.Hash, i, n int, p []ledger.Hash) ledger.Hash {
	for ; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 >= n {
			continue
		}
		if i%2 == 0 {
			leaf = join(leaf, p[0])
		} else {
			leaf = join(p[0], leaf)
		}
		p = p[1:]
	}
	return leaf
}

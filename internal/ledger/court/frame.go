package court

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"unsafe"

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
	return uint32(len(x)), x.Root(), y.Root()
}

// leaves hashes each row of output, and what it is made of: an expert and a row
// of input. A row that goes to several experts is hashed once.
func (f Frame) leaves() (in, out ledger.Hashes) {
	n := 0
	for _, c := range f.Calls {
		n += len(c.Rows)
	}
	all := make(ledger.Hashes, 2*n)
	in, out = all[:n:n], all[n:]
	seen := make([]ledger.Hash, f.In.Rows) // zero: not hashed yet
	buf := make([]byte, 0, 4*f.In.Dim+leafSize)
	n = 0
	for i, c := range f.Calls {
		for k, r := range c.Rows {
			if seen[r] == (ledger.Hash{}) {
				seen[r] = sha256.Sum256(floats(buf, f.In.Row(int(r))))
			}
			in[n] = inLeaf(buf, c.Expert.Index, seen[r])
			out[n] = outLeaf(buf, f.Results[i].Out.Row(k))
			n++
		}
	}
	return in, out
}

// floats appends values, little-endian.
func floats(b []byte, v []float32) []byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))...)
	}
	return floatsSlow(b, v)
}

// floatsSlow does so on any machine.
func floatsSlow(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// What the two kinds of leaves hash begins with different bytes, and with another
// one than the nodes of [ledger.Hashes], so that none passes for another.
const (
	inTag    = 0
	outTag   = 2
	leafSize = 1 + 2 + len(ledger.Hash{}) // of what a leaf of the input hashes
)

// inLeaf and outLeaf write what they hash into buf's room.
func inLeaf(buf []byte, index uint16, row ledger.Hash) ledger.Hash {
	b := binary.BigEndian.AppendUint16(append(buf, inTag), index)
	return sha256.Sum256(append(b, row[:]...))
}

func outLeaf(buf []byte, row []float32) ledger.Hash {
	return sha256.Sum256(floats(append(buf, outTag), row))
}

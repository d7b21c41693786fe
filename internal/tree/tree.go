// Package tree hashes content so that each chunk of it can be checked alone.
//
// The hash of a blob is its BLAKE3. Its [Tree] is the part of BLAKE3's own
// tree that lies above chunks of 256 KiB: who has the hash can check the tree,
// and who has the tree can check any chunk, wherever it came from. A tree is a
// four-thousandth of its blob. Nothing here keeps state or starts a goroutine.
package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"lukechampine.com/blake3/bao"
	"lukechampine.com/blake3/guts"
)

const (
	// Chunk is the size of what is checked alone; the last chunk of a blob may
	// be shorter. The nodes above it are a four-thousandth of the content, and
	// it takes 0.1 ms to check.
	Chunk = guts.ChunkSize << group
	group = 8
	// MaxSize bounds a blob, so that its tree fits into one frame on the wire.
	// The largest trunks published have about 20 GB.
	MaxSize = 32 << 30

	header = 8 // the size of the blob
	node   = 64
)

// ErrTree: bytes are not the tree of that hash and size.
var ErrTree = errors.New("not the tree of this content")

// Hash is a BLAKE3.
type Hash = [32]byte

// Tree is the outboard encoding of Bao: the size, then the nodes from the root
// down, left before right.
type Tree []byte

// Chunks is the number of chunks of a blob.
func Chunks(size int64) int { return int((size + Chunk - 1) / Chunk) }

// Size is the length of the tree of a blob of size bytes.
func Size(size int64) int { return header + node*max(0, Chunks(size)-1) }

// Build reads a blob of size bytes, 1 to MaxSize, and returns its hash and tree.
func Build(r io.Reader, size int64) (Hash, Tree, error) {
	if size < 1 || size > MaxSize {
		return Hash{}, nil, fmt.Errorf("content of %d bytes: want 1 to %d", size, int64(MaxSize))
	}
	t := writerAt(make([]byte, Size(size)))
	h, err := bao.Encode(t, r, size, group, true)
	return h, Tree(t), err
}

// writerAt is memory of the right size.
type writerAt []byte

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return copy(w[off:], p), nil }

// Leaf is the tree of a blob of one chunk, which needs no nodes.
func Leaf(size int64) Tree { return binary.LittleEndian.AppendUint64(nil, uint64(size)) }

// Check reports whether t is the tree of the blob with this hash and size. It
// is pure arithmetic on t, so it may come from a stranger.
func (t Tree) Check(h Hash, size int64) error {
	if size < 1 || size > MaxSize || len(t) != Size(size) || binary.LittleEndian.Uint64(t) != uint64(size) {
		return fmt.Errorf("%w: %d bytes for content of %d", ErrTree, len(t), size)
	}
	rest := t[header:]
	var sound func(want Hash, n uint64, flags uint32) bool
	sound = func(want Hash, n uint64, flags uint32) bool {
		if n <= Chunk {
			return true
		}
		l, r := Hash(rest[:32]), Hash(rest[32:node])
		rest = rest[node:]
		if digest(guts.ChainingValue(guts.ParentNode(words(l), words(r), &guts.IV, flags))) != want {
			return false
		}
		left := uint64(1) << (bits.Len64(n-1) - 1)
		return sound(l, left, 0) && sound(r, n-left, 0)
	}
	if !sound(h, uint64(size), guts.FlagRoot) {
		return ErrTree
	}
	return nil
}

// Holds reports whether chunk is the content at offset, a multiple of Chunk, of
// the blob with this hash. It walks from the hash down, so a false tree only
// ever makes it say no.
func (t Tree) Holds(h Hash, offset int64, chunk []byte) bool {
	if len(chunk) == 0 || offset < 0 || offset%Chunk != 0 || len(t) < header {
		return false
	}
	size := binary.LittleEndian.Uint64(t)
	if size < 1 || size > MaxSize || len(t) != Size(int64(size)) || uint64(offset) >= size {
		return false
	}
	want, flags := h, uint32(guts.FlagRoot)
	n, at, rest := size, uint64(0), t[header:] // of the part that offset lies in
	for n > Chunk {
		l, r := Hash(rest[:32]), Hash(rest[32:node])
		if digest(guts.ChainingValue(guts.ParentNode(words(l), words(r), &guts.IV, flags))) != want {
			return false
		}
		flags = 0
		left := uint64(1) << (bits.Len64(n-1) - 1)
		if uint64(offset) < at+left {
			want, n, rest = l, left, rest[node:]
		} else {
			want, n, at, rest = r, n-left, at+left, rest[node*Chunks(int64(left)):]
		}
	}
	if uint64(len(chunk)) != n {
		return false
	}
	x := subtree(chunk, at/guts.ChunkSize)
	x.Flags |= flags
	return digest(guts.ChainingValue(x)) == want
}

// simd is what the library hashes at once.
const simd = guts.MaxSIMD * guts.ChunkSize

// subtree is the top node over content of at most Chunk bytes whose first KiB is
// the one of that number in its blob. It hashes where the content lies.
func subtree(p []byte, number uint64) guts.Node {
	switch {
	case len(p) == simd:
		return guts.CompressBuffer((*[simd]byte)(p), simd, &guts.IV, number, 0)
	case len(p) < simd:
		return rest(p, number)
	}
	left := 1 << (bits.Len(uint(len(p)-1)) - 1)
	l, r := subtree(p[:left], number), subtree(p[left:], number+uint64(left/guts.ChunkSize))
	return guts.ParentNode(guts.ChainingValue(l), guts.ChainingValue(r), &guts.IV, 0)
}

// rest is subtree for the end of a blob, which the library reads past.
func rest(p []byte, number uint64) guts.Node {
	var b [simd]byte
	return guts.CompressBuffer(&b, copy(b[:], p), &guts.IV, number, 0)
}

// Sum is the hash of bytes in memory.
func Sum(b []byte) (Hash, error) {
	h, _, err := Build(bytes.NewReader(b), int64(len(b)))
	return h, err
}

func words(h Hash) (w [8]uint32) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return w
}

func digest(w [8]uint32) (h Hash) {
	for i, x := range w {
		binary.LittleEndian.PutUint32(h[4*i:], x)
	}
	return h
}

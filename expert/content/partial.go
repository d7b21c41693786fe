package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/tree"
)

// ErrBadChunk: bytes are not what they should be, by the blob's hash.
var ErrBadChunk = errors.New("the bytes do not belong to that hash")

// Partial is a blob on its way into the store. Which chunks are here is not
// recorded: they say so themselves, because each is checked against the tree
// when the fetch goes on. Its methods may be called by several goroutines.
type Partial struct {
	store *Store
	piece expert.Piece

	mu   sync.Mutex
	tree tree.Tree // nil until it is known
	have []bool    // by chunk
	left int       // chunks missing
}

// Begin opens a blob to be fetched, or to be fetched further. Nobody else may
// have it open; the error is then [ErrBusy]. Room for it must be made before;
// see [Store.Room].
func (s *Store) Begin(p expert.Piece) (*Partial, error) {
	if p.Size < 1 || p.Size > tree.MaxSize {
		return nil, fmt.Errorf("a blob of %d bytes: want 1 to %d", p.Size, int64(tree.MaxSize))
	}
	if err := s.opening(p); err != nil {
		return nil, err
	}
	n := tree.Chunks(p.Size)
	x := &Partial{store: s, piece: p, have: make([]bool, n), left: n}
	if n == 1 {
		x.tree = tree.Leaf(p.Size)
	} else if t, err := readSome(s.path(partsDir, nameOf(p.Hash)+treeSuffix), int64(tree.Size(p.Size))); err == nil && tree.Tree(t).Check(p.Hash, p.Size) == nil {
		x.tree = t
	}
	if x.tree != nil {
		x.find()
	}
	return x, nil
}

// opening marks a blob as being fetched.
func (s *Store) opening(p expert.Piece) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened[p.Hash] {
		return ErrBusy
	}
	s.opened[p.Hash] = true
	s.parts[p.Hash] = p.Size
	return nil
}

func (s *Store) closing(h expert.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.opened, h)
}

// open opens the file that the chunks lie in. It is opened for each use,
// because thousands of blobs may be under way.
func (x *Partial) open() (*os.File, error) {
	return os.OpenFile(x.store.path(partsDir, nameOf(x.piece.Hash)+partSuffix), os.O_CREATE|os.O_RDWR, 0o600)
}

// find checks which chunks are on disk already.
func (x *Partial) find() {
	f, err := x.open()
	if err != nil {
		return
	}
	defer f.Close()
	buf := make([]byte, min(tree.Chunk, x.piece.Size))
	for i := range x.have {
		chunk := buf[:x.length(i)]
		n, err := f.ReadAt(chunk, int64(i)*tree.Chunk)
		if n < len(chunk) || err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		if x.tree.Holds(x.piece.Hash, int64(i)*tree.Chunk, chunk) {
			x.have[i] = true
			x.left--
		}
	}
}

func (x *Partial) length(i int) int {
	return int(min(tree.Chunk, x.piece.Size-int64(i)*tree.Chunk))
}

// Piece is what is being fetched.
func (x *Partial) Piece() expert.Piece { return x.piece }

// NeedsTree reports whether the tree must come before any chunk.
func (x *Partial) NeedsTree() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tree == nil
}

// PutTree takes in the tree. An error that wraps [ErrBadChunk] means that
// whoever sent it lies or has damaged content.
func (x *Partial) PutTree(t []byte) error {
	if err := tree.Tree(t).Check(x.piece.Hash, x.piece.Size); err != nil {
		return fmt.Errorf("%w: %w", ErrBadChunk, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tree != nil {
		return nil
	}
	if err := x.store.write(partsDir, nameOf(x.piece.Hash)+treeSuffix, t); err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	x.tree = bytes.Clone(t)
	x.find()
	return nil
}

// Missing lists the chunks that are not here, ascending.
func (x *Partial) Missing() (chunks []int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, here := range x.have {
		if !here {
			chunks = append(chunks, i)
		}
	}
	return chunks
}

// Put takes in a chunk, which is checked before anything is done with it. An
// error that wraps [ErrBadChunk] is the sender's fault, any other the disk's.
func (x *Partial) Put(i int, chunk []byte) error {
	x.mu.Lock()
	t := x.tree
	x.mu.Unlock()
	if t == nil || i < 0 || i >= len(x.have) || len(chunk) != x.length(i) || !t.Holds(x.piece.Hash, int64(i)*tree.Chunk, chunk) {
		return ErrBadChunk
	}
	f, err := x.open()
	if err == nil {
		_, err = f.WriteAt(chunk, int64(i)*tree.Chunk)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.have[i] {
		x.have[i] = true
		x.left--
	}
	return nil
}

// Whole reports whether every chunk is here.
func (x *Partial) Whole() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tree != nil && x.left == 0
}

// Finish makes a whole partial a blob of the store, on disk and under its name.
func (x *Partial) Finish() error {
	if !x.Whole() {
		return errors.New("content store: chunks are missing")
	}
	s, name := x.store, nameOf(x.piece.Hash)
	defer s.closing(x.piece.Hash)
	f, err := x.open()
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	if err := move(s.path(partsDir, name+partSuffix), s.path(blobsDir, name)); err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	_ = remove(s.path(partsDir, name+treeSuffix)) // gc takes what is left
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts, x.piece.Hash)
	// The chunks were checked as they came; the first lease checks what the
	// disk made of them.
	s.blobs[x.piece.Hash] = &blob{size: x.piece.Size, used: s.now()}
	return nil
}

// Close leaves the partial on disk, to be gone on with later.
func (x *Partial) Close() { x.store.closing(x.piece.Hash) }

package content

import (
	"bytes"
	"encoding/binary"
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
// when the fetch goes on. Of a chunk that is here in part, which cannot be
// checked yet, a small file beside says how far it is. Its methods may be called
// by several goroutines.
type Partial struct {
	store *Store
	piece expert.Piece

	mu    sync.Mutex
	tree  tree.Tree   // nil until it is known
	have  []bool      // by chunk
	left  int         // chunks missing
	got   map[int]int // by chunk that is missing: bytes of its beginning that are on disk
	alone []bool      // by chunk: to come from one source in one go; nil: none
	file  *os.File    // that the chunks lie in; nil until it is needed
	notes *os.File    // got on disk, 4 bytes a chunk; nil until it is needed
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
	x := &Partial{store: s, piece: p, have: make([]bool, n), left: n, got: make(map[int]int)}
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
	_, err := os.Stat(s.path(partsDir, nameOf(h)+partSuffix))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.opened, h)
	if errors.Is(err, os.ErrNotExist) {
		delete(s.parts, h) // it is whole, or nothing came of it
	}
}

// openLocked opens a file of the partial that stays open until it is finished or
// closed.
func (x *Partial) openLocked(f **os.File, suffix string) (err error) {
	if *f == nil {
		*f, err = os.OpenFile(x.store.path(partsDir, nameOf(x.piece.Hash)+suffix), os.O_CREATE|os.O_RDWR, 0o600)
	}
	return err
}

// find checks which chunks are on disk already, whole or in part.
func (x *Partial) find() {
	f, err := os.Open(x.store.path(partsDir, nameOf(x.piece.Hash)+partSuffix))
	if err != nil {
		return
	}
	defer f.Close()
	notes, _ := readSome(x.store.path(partsDir, nameOf(x.piece.Hash)+notesSuffix), int64(4*len(x.have)))
	buf := make([]byte, min(tree.Chunk, x.piece.Size))
	for i := range x.have {
		chunk := buf[:x.length(i)]
		n, err := f.ReadAt(chunk, int64(i)*tree.Chunk)
		if err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		if n == len(chunk) && x.tree.Holds(x.piece.Hash, int64(i)*tree.Chunk, chunk) {
			x.have[i] = true
			x.left--
			continue
		}
		if len(notes) < 4*(i+1) {
			continue
		}
		// Notes that a crash of the machine left wrong are found out when the
		// chunk is whole.
		if got := int(binary.LittleEndian.Uint32(notes[4*i:])); got <= n && got < len(chunk) {
			x.got[i] = got
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
	// It is checked when it is read, so nobody waits for the disk.
	if err := os.WriteFile(x.store.path(partsDir, nameOf(x.piece.Hash)+treeSuffix), t, 0o600); err != nil {
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

// Got is how many bytes from the beginning of a missing chunk are on disk. They
// were not checked.
func (x *Partial) Got(i int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.alone != nil && x.alone[i] {
		return 0
	}
	return x.got[i]
}

// ReadGot reads those bytes, the first of the chunk.
func (x *Partial) ReadGot(i int, p []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.openLocked(&x.file, partSuffix)
	if err == nil {
		_, err = x.file.ReadAt(p, int64(i)*tree.Chunk)
	}
	return storeError(err)
}

// Add keeps bytes of a chunk that follow the first from bytes, which are here
// already, so that a fetch that is cut off goes on after them. They are believed
// when the chunk is whole and was put. written is how many of the chunk's bytes
// are on disk now; 0 when they are not kept. An error is the disk's.
func (x *Partial) Add(i, from int, b []byte) (written int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.have[i] || x.alone != nil && x.alone[i] {
		return 0, nil
	}
	if err = x.writeLocked(i, from, b); err == nil {
		err = x.noteLocked(i, from+len(b))
	}
	return from + len(b), storeError(err)
}

func (x *Partial) writeLocked(i, from int, b []byte) error {
	if err := x.openLocked(&x.file, partSuffix); err != nil {
		return err
	}
	_, err := x.file.WriteAt(b, int64(i)*tree.Chunk+int64(from))
	return err
}

func (x *Partial) noteLocked(i, got int) error {
	if err := x.openLocked(&x.notes, notesSuffix); err != nil {
		return err
	}
	x.got[i] = got
	_, err := x.notes.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(got)), 4*int64(i))
	return err
}

// Put takes in a chunk, which is checked before it counts. Of its bytes the
// first written are on disk by Add, as they are in chunk. An error that wraps
// [ErrBadChunk] is the fault of who sent it, any other the disk's. A chunk that
// was bad although part of it was there before may be the fault of either; it
// then has to come from one source in one go.
func (x *Partial) Put(i int, chunk []byte, written int) error {
	x.mu.Lock()
	t := x.tree
	x.mu.Unlock()
	sound := t != nil && i >= 0 && i < len(x.have) && len(chunk) == x.length(i) && t.Holds(x.piece.Hash, int64(i)*tree.Chunk, chunk)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !sound && written > 0:
		if x.alone == nil {
			x.alone = make([]bool, len(x.have))
		}
		x.alone[i] = true
		return errors.Join(ErrBadChunk, storeError(x.noteLocked(i, 0)))
	case !sound:
		return ErrBadChunk
	case x.have[i]:
		return nil
	}
	if written < len(chunk) {
		if err := x.writeLocked(i, written, chunk[written:]); err != nil {
			return storeError(err)
		}
	}
	begin(x.file, int64(i)*tree.Chunk, int64(len(chunk)))
	x.have[i] = true
	x.left--
	delete(x.got, i)
	return nil
}

func storeError(err error) error {
	if err != nil {
		return fmt.Errorf("content store: %w", err)
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
	defer x.Close()
	x.mu.Lock()
	err := x.openLocked(&x.file, partSuffix)
	f := x.file
	x.mu.Unlock()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = move(s.path(partsDir, name+partSuffix), s.path(blobsDir, name))
	}
	if err != nil {
		return storeError(err)
	}
	for _, suffix := range []string{treeSuffix, notesSuffix} {
		_ = remove(s.path(partsDir, name+suffix)) // gc takes what is left
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The chunks were checked as they came; the first lease checks what the
	// disk made of them.
	s.blobs[x.piece.Hash] = &blob{size: x.piece.Size, used: s.now()}
	return nil
}

// Close leaves the partial on disk, to be gone on with later.
func (x *Partial) Close() {
	x.mu.Lock()
	for _, f := range []**os.File{&x.file, &x.notes} {
		if *f != nil {
			_ = (*f).Close() // what was written is there; Finish syncs
			*f = nil
		}
	}
	x.mu.Unlock()
	x.store.closing(x.piece.Hash)
}

package content

import (
	"container/list"
	"context"
	"io"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/tree"
)

// shelfTrees bounds the bytes of trees of model files kept in memory: 250 GB of
// models.
const shelfTrees = 64 << 20

// Shelf is what peers may fetch of models: parts of files that stay where they
// are, and blobs of a store. It may be used by several goroutines at once.
type Shelf struct {
	store *Store // may be nil

	mu     sync.Mutex
	models map[expert.ModelID]*expert.Model // whole files
	trees  map[expert.Digest]*list.Element  // of parts of files, checked
	order  *list.List                       // of keptTree, latest use first
	size   int

	// Damaged is told of parts of files that are no longer what the manifest
	// says. Set it before use; may be nil.
	Damaged func(m *expert.Model, h expert.Digest)
}

type keptTree struct {
	hash expert.Digest
	tree tree.Tree
}

// NewShelf makes a shelf over a store, or over none.
func NewShelf(s *Store) *Shelf {
	return &Shelf{store: s, models: make(map[expert.ModelID]*expert.Model), trees: make(map[expert.Digest]*list.Element), order: list.New()}
}

// Add puts a model's file on the shelf, which must stay open.
func (s *Shelf) Add(m *expert.Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[m.ID()] = m
}

// Manifest is the canonical manifest of a model. The error wraps [ErrAbsent].
func (s *Shelf) Manifest(id expert.ModelID) ([]byte, error) {
	s.mu.Lock()
	m := s.models[id]
	s.mu.Unlock()
	if m != nil {
		return m.Manifest().AppendBinary(nil), nil
	}
	if s.store != nil {
		if man, ok := s.store.Manifest(id); ok {
			return man.AppendBinary(nil), nil
		}
	}
	return nil, ErrAbsent
}

// find looks for a blob: in the store, where a lease checks it, or in a file.
func (s *Shelf) find(h expert.Digest) (l *Lease, m *expert.Model, b *expert.Blob, err error) {
	if s.store != nil {
		if l, err := s.store.Lease(h); err == nil {
			return l, nil, nil, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.models {
		if b, ok := m.Part(h); ok {
			return nil, m, b, nil
		}
	}
	return nil, nil, nil, ErrAbsent
}

// Tree is the tree of a blob. The error wraps [ErrAbsent] when the blob is not
// here or is damaged.
func (s *Shelf) Tree(ctx context.Context, h expert.Digest) ([]byte, error) {
	l, m, b, err := s.find(h)
	switch {
	case err != nil:
		return nil, err
	case l != nil:
		defer l.Release()
		return l.tree, nil
	}
	return s.treeOf(ctx, h, m, b)
}

// treeOf is the tree of a part of a file, built when it is asked for first.
func (s *Shelf) treeOf(ctx context.Context, h expert.Digest, m *expert.Model, b *expert.Blob) (tree.Tree, error) {
	s.mu.Lock()
	if e := s.trees[h]; e != nil {
		s.order.MoveToFront(e)
		t := e.Value.(keptTree).tree
		s.mu.Unlock()
		return t, nil
	}
	s.mu.Unlock()
	got, t, err := tree.Build(&untilDone{ctx, io.NewSectionReader(b, 0, b.Size())}, b.Size())
	if err != nil {
		return nil, err
	}
	if got != h {
		s.damaged(m, h)
		return nil, ErrDamaged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trees[h] == nil {
		s.trees[h] = s.order.PushFront(keptTree{h, t})
		s.size += len(t)
	}
	for s.size > shelfTrees && s.order.Len() > 1 {
		last := s.order.Remove(s.order.Back()).(keptTree)
		delete(s.trees, last.hash)
		s.size -= len(last.tree)
	}
	return t, nil
}

func (s *Shelf) damaged(m *expert.Model, h expert.Digest) {
	if s.Damaged != nil {
		s.Damaged(m, h)
	}
}

// Read reads the chunk of a blob that begins at offset, a multiple of the chunk
// size, into p, which has room for a whole one, and checks it. What is damaged is
// not here: the error wraps [ErrAbsent].
func (s *Shelf) Read(ctx context.Context, h expert.Digest, offset int64, p []byte) (n int, err error) {
	l, m, b, err := s.find(h)
	if err != nil {
		return 0, err
	}
	var t tree.Tree
	size := int64(0)
	if l != nil {
		defer l.Release()
		t, size = l.tree, int64(len(l.Data))
	} else {
		size = b.Size()
		if t, err = s.treeOf(ctx, h, m, b); err != nil {
			return 0, err
		}
	}
	if offset%tree.Chunk != 0 || offset < 0 || offset >= size || len(p) < tree.Chunk {
		return 0, expert.ErrBadCall
	}
	p = p[:min(tree.Chunk, size-offset)]
	if l != nil {
		copy(p, l.Data[offset:])
	} else if _, err := b.ReadAt(p, offset); err != nil {
		return 0, err
	}
	if t.Holds(h, offset, p) {
		return len(p), nil
	}
	if l != nil {
		s.store.discard(h)
	} else {
		s.damaged(m, h)
	}
	return 0, ErrDamaged
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

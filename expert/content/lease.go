package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/mapping"
	"github.com/moeswarm/moeswarm/internal/tree"
)

// Lease is a blob in memory: a mapping of its file, whose pages the operating
// system reads and drops as it likes. The data is read-only and valid until
// Release.
type Lease struct {
	Data  []byte
	tree  tree.Tree
	store *Store
	blob  *blob
	once  sync.Once
}

// Release ends the use of the data.
func (l *Lease) Release() {
	l.once.Do(func() {
		l.store.mu.Lock()
		defer l.store.mu.Unlock()
		l.blob.leases--
		l.store.unmapLocked(l.blob)
	})
}

// maxIdle bounds the mappings that are kept although nobody uses them, because
// who sends a blob uses it again and again. A process may have 65,530.
const maxIdle = 8192

// unmapLocked ends a mapping that nobody uses, if the blob is gone or there are
// enough of them.
func (s *Store) unmapLocked(b *blob) {
	if b.leases > 0 || b.data == nil {
		return
	}
	if !b.gone && s.idle < maxIdle {
		s.idle++
		b.idle = true
		return
	}
	_ = mapping.Unmap(b.data) // fails for what is no mapping only
	b.data = nil
}

// Lease maps a blob. The first lease of a blob in a process reads it whole and
// checks it against its name; one that fails is removed, and the error wraps
// [ErrDamaged]. Other errors that wrap [ErrAbsent] mean that it is not here.
func (s *Store) Lease(h expert.Digest) (*Lease, error) {
	s.mu.Lock()
	b := s.blobs[h]
	if b == nil {
		s.mu.Unlock()
		return nil, ErrAbsent
	}
	b.leases++
	b.used = s.now()
	if b.idle {
		b.idle = false
		s.idle--
	}
	if b.data == nil {
		data, err := mapFile(s.path(blobsDir, nameOf(h)), b.size)
		if err != nil {
			b.leases--
			s.dropLocked(h)
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		b.data = data
	}
	s.mu.Unlock()
	l := &Lease{Data: b.data, store: s, blob: b}
	b.check.Lock()
	defer b.check.Unlock()
	if b.tree == nil {
		got, t, err := tree.Build(bytes.NewReader(b.data), b.size)
		if err != nil || got != h {
			l.Release()
			s.discard(h)
			return nil, errors.Join(ErrDamaged, err)
		}
		b.tree = t
	}
	l.tree = b.tree
	return l, nil
}

// discard removes a blob that is damaged.
func (s *Store) discard(h expert.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(h)
}

// dropLocked removes a blob from disk. Mappings of it go on.
func (s *Store) dropLocked(h expert.Digest) {
	if b := s.blobs[h]; b != nil {
		b.gone = true
		if b.idle {
			b.idle = false
			s.idle--
			s.unmapLocked(b)
		}
		delete(s.blobs, h)
		_ = remove(s.path(blobsDir, nameOf(h)))
	}
}

// Drop removes a blob; users of its mapping keep it until they release it. One
// that is not here is no error.
func (s *Store) Drop(h expert.Digest) { s.discard(h) }

// Check reads a blob again and reports damage; see [Store.Lease].
func (s *Store) Check(ctx context.Context, h expert.Digest) error {
	l, err := s.Lease(h)
	if err != nil {
		return err
	}
	defer l.Release()
	for at := int64(0); at < int64(len(l.Data)); at += tree.Chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !l.tree.Holds(h, at, l.Data[at:min(at+tree.Chunk, int64(len(l.Data)))]) {
			s.discard(h)
			return ErrDamaged
		}
	}
	return nil
}

// mapFile maps a file of size bytes read-only.
func mapFile(path string, size int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping outlives the descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != size {
		return nil, fmt.Errorf("%d bytes where there were %d", info.Size(), size)
	}
	return mapping.Map(f, size, size)
}

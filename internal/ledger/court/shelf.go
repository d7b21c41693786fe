package court

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const (
	// MaxShelf bounds the evidence that a node keeps: hundreds of cases. What was
	// used longest ago goes first.
	MaxShelf = 256 << 20
	// MaxPiece bounds one piece of it.
	MaxPiece = 1 << 20
)

// Shelf keeps evidence in a folder, a file each, named by the hash of what is in
// it. Its methods may be used by several goroutines.
type Shelf struct {
	dir  string
	most int64
	mu   sync.Mutex
}

// OpenShelf makes the folder if it is not there.
func OpenShelf(dir string) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return &Shelf{dir: dir, most: MaxShelf}, nil
}

func (s *Shelf) path(h ledger.Hash) string { return filepath.Join(s.dir, hex.EncodeToString(h[:])) }

// Put keeps a piece and names it.
func (s *Shelf) Put(b []byte) (ledger.Hash, error) {
	h := ledger.Sum(b)
	if len(b) == 0 || len(b) > MaxPiece {
		return h, fmt.Errorf("evidence of %d bytes, at most %d allowed", len(b), MaxPiece)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeRoom(int64(len(b))); err != nil {
		return h, err
	}
	return h, writeFile(s.path(h), b)
}

// Get is the piece with this hash; nil: it is not here.
func (s *Shelf) Get(h [32]byte) []byte {
	b, err := readFile(s.path(h), MaxPiece)
	if err != nil || ledger.Sum(b) != h {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(s.path(h), now, now) // only the order in which pieces go
	return b
}

// makeRoom drops what was used longest ago.
func (s *Shelf) makeRoom(n int64) error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var all []os.FileInfo
	for _, f := range files {
		if i, err := f.Info(); err == nil && i.Mode().IsRegular() {
			all = append(all, i)
			n += i.Size()
		}
	}
	slices.SortFunc(all, func(a, b os.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	for _, f := range all {
		if n <= s.most {
			break
		}
		if err := os.Remove(filepath.Join(s.dir, f.Name())); err != nil {
			return err
		}
		n -= f.Size()
	}
	return nil
}

// writeFile writes a file so that it is there whole, on the disk, or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: more than %d bytes", path, most)
	}
	return b, err
}

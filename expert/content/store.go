package content

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/tree"
)

var (
	// ErrAbsent: the store does not have that blob.
	ErrAbsent = fmt.Errorf("%w: not in the content store", expert.ErrUnknownExpert)
	// ErrDamaged: a blob on disk is not what its name says. It was removed.
	ErrDamaged = fmt.Errorf("%w: damaged on disk", ErrAbsent)
	// ErrFull: the disk budget has no room, and nothing may go.
	ErrFull = errors.New("the disk budget is used up")
	// ErrBusy: the blob is being fetched already.
	ErrBusy = errors.New("the blob is being fetched already")
	// ErrInUse: another process has the store.
	ErrInUse = errors.New("the content store is in use by another process; stop that node first")
)

const (
	blobsDir    = "blobs"
	partsDir    = "parts"
	refsDir     = "refs"
	partSuffix  = ".part"
	treeSuffix  = ".tree"
	notesSuffix = ".got"
	tmpPrefix   = "tmp-"
	lockFile    = "lock"
)

// Store is a directory of blobs. Its methods may be called by several
// goroutines at once; one process has it at a time.
type Store struct {
	dir    string
	budget int64 // bytes of blobs and parts; 0: no bound
	lock   *os.File
	now    func() time.Time

	mu sync.Mutex // guards what follows
	// blobs are those on disk; parts those being fetched, at their full size.
	blobs  map[expert.Digest]*blob
	parts  map[expert.Digest]int64
	opened map[expert.Digest]bool // of parts, by this process
	refs   map[expert.ModelID]*expert.Manifest
	idle   int                   // mappings without users
	count  map[expert.Digest]int // by how many kept models a blob is named
}

// blob is a whole blob on disk.
type blob struct {
	size   int64
	used   time.Time
	tree   tree.Tree // nil until it was checked
	data   []byte    // nil while it is not mapped
	leases int       // users of the mapping
	idle   bool      // it is mapped and has no users
	gone   bool      // it is no longer on disk
	check  sync.Mutex
}

// Open opens the store in dir/content, which it creates when missing, and takes
// it for this process. budget bounds its bytes, 0 does not. Close it.
func Open(dir string, budget int64) (*Store, error) {
	s := &Store{
		dir: filepath.Join(dir, "content"), budget: budget, now: time.Now,
		blobs: make(map[expert.Digest]*blob), parts: make(map[expert.Digest]int64), opened: make(map[expert.Digest]bool),
		refs: make(map[expert.ModelID]*expert.Manifest), count: make(map[expert.Digest]int),
	}
	if err := s.open(); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		return nil, fmt.Errorf("content store: %w", err)
	}
	return s, nil
}

func (s *Store) open() error {
	for _, d := range []string{blobsDir, partsDir, refsDir} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return err
		}
	}
	var err error
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return ErrInUse
	}
	return errors.Join(s.readBlobs(), s.readRefs(), s.readParts())
}

// Close gives the store to others. Mappings that are leased stay.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blobs {
		b.gone = true
		if b.idle {
			b.idle = false
			s.unmapLocked(b)
		}
	}
	return s.lock.Close()
}

// parseName reads the name of a blob's file.
func parseName(name string) (h expert.Digest, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != name {
		return h, false
	}
	return expert.Digest(b), true
}

func nameOf(h expert.Digest) string { return hex.EncodeToString(h[:]) }

func (s *Store) path(dir, name string) string { return filepath.Join(s.dir, dir, name) }

// readBlobs finds what is on disk. Names say what a file should be; whether it
// is that is found out on first use.
func (s *Store) readBlobs() error {
	files, err := os.ReadDir(filepath.Join(s.dir, blobsDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		h, ok := parseName(f.Name())
		info, err := f.Info()
		if !ok || err != nil || !info.Mode().IsRegular() || info.Size() < 1 || info.Size() > tree.MaxSize {
			continue // no blob; gc removes it
		}
		s.blobs[h] = &blob{size: info.Size(), used: info.ModTime()}
	}
	return nil
}

// readParts reserves room for what is being fetched.
func (s *Store) readParts() error {
	files, err := os.ReadDir(filepath.Join(s.dir, partsDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), partSuffix)
		if h, good := parseName(name); ok && good {
			if info, err := f.Info(); err == nil {
				s.parts[h] = info.Size()
			}
		}
	}
	return nil
}

func (s *Store) readRefs() error {
	files, err := os.ReadDir(filepath.Join(s.dir, refsDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		id, err := expert.ParseModelID(f.Name())
		if err != nil {
			continue
		}
		b, err := readSome(s.path(refsDir, f.Name()), expert.MaxManifest)
		if err != nil {
			return err
		}
		m, err := expert.ParseManifest(b)
		if err != nil || m.ID() != id {
			continue // damaged; it is fetched again when the model is wanted again
		}
		s.refer(m)
	}
	return nil
}

func (s *Store) refer(m *expert.Manifest) {
	if s.refs[m.ID()] != nil {
		return
	}
	s.refs[m.ID()] = m
	for h := range hashes(m) {
		s.count[h]++
	}
}

// hashes are the blobs of a model, each once.
func hashes(m *expert.Manifest) map[expert.Digest]bool {
	all := map[expert.Digest]bool{m.Trunk.Hash: true}
	for _, p := range m.Experts {
		all[p.Hash] = true
	}
	return all
}

// Keep says that this node wants a model: its blobs are no garbage, and its
// manifest is known after a restart.
func (s *Store) Keep(m *expert.Manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs[m.ID()] != nil {
		return nil
	}
	if err := s.write(refsDir, m.ID().String(), m.AppendBinary(nil)); err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	s.refer(m)
	return nil
}

// Forget takes Keep back. The blobs stay until they are collected.
func (s *Store) Forget(id expert.ModelID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.refs[id]
	if m == nil {
		return fmt.Errorf("%w: model %s is not in the content store", expert.ErrNoModel, id.Short())
	}
	if err := os.Remove(s.path(refsDir, id.String())); err != nil {
		return fmt.Errorf("content store: %w", err)
	}
	delete(s.refs, id)
	for h := range hashes(m) {
		if s.count[h]--; s.count[h] == 0 {
			delete(s.count, h)
		}
	}
	return nil
}

// Manifest returns the manifest of a kept model.
func (s *Store) Manifest(id expert.ModelID) (*expert.Manifest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.refs[id]
	return m, ok
}

// Models lists the kept models.
func (s *Store) Models() (all []*expert.Manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.refs {
		all = append(all, m)
	}
	return all
}

// Has reports whether a blob is on disk. Whether it is sound shows when it is
// used.
func (s *Store) Has(h expert.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[h] != nil
}

// Used is the size of everything in the store and on its way into it.
func (s *Store) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usedLocked()
}

func (s *Store) usedLocked() (n int64) {
	for _, b := range s.blobs {
		n += b.size
	}
	for _, size := range s.parts {
		n += size
	}
	return n
}

package content

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Entry is a blob as eviction sees it.
type Entry struct {
	Hash     expert.Digest
	Size     int64
	Refs     int // kept models that name it
	InUse    bool
	Replicas int // other nodes that are known to hold it
	Used     time.Time
}

// Victims picks what to evict so that need bytes become free: what no model
// names first, then what most others hold, then what was unused longest. What
// is in use stays, and so does a last copy that a kept model names. ok reports
// whether it is enough; if not, nothing should go.
func Victims(entries []Entry, need int64) (out []expert.Digest, ok bool) {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.InUse || e.Refs > 0 && e.Replicas == 0 })
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(min(a.Refs, 1), min(b.Refs, 1)), cmp.Compare(b.Replicas, a.Replicas), a.Used.Compare(b.Used),
			slices.Compare(a.Hash[:], b.Hash[:]))
	})
	for _, e := range entries {
		if need <= 0 {
			break
		}
		out, need = append(out, e.Hash), need-e.Size
	}
	return out, need <= 0
}

// Entries lists the blobs; replicas says how many other nodes hold each.
func (s *Store) Entries(replicas func(expert.Digest) int) (out []Entry) {
	s.mu.Lock()
	for h, b := range s.blobs {
		out = append(out, Entry{Hash: h, Size: b.size, Refs: s.count[h], InUse: b.leases > 0, Used: b.used})
	}
	s.mu.Unlock()
	for i := range out {
		if replicas != nil {
			out[i].Replicas = replicas(out[i].Hash)
		}
	}
	return out
}

// Room makes room for a blob within the budget, evicting what others hold if it
// must. The error wraps [ErrFull] when that is not enough.
func (s *Store) Room(p expert.Piece, replicas func(expert.Digest) int) error {
	s.mu.Lock()
	need := int64(0)
	if s.parts[p.Hash] < p.Size {
		need = p.Size - s.parts[p.Hash]
	}
	need += s.usedLocked() - s.budget
	s.mu.Unlock()
	if s.budget == 0 || need <= 0 {
		return nil
	}
	victims, ok := Victims(s.Entries(replicas), need)
	if !ok {
		return fmt.Errorf("%w: %d MB more are needed of %d MB; give more with --disk", ErrFull, (need+999_999)/1_000_000, s.budget/1_000_000)
	}
	for _, h := range victims {
		s.discard(h)
	}
	return nil
}

// Garbage removes blobs and parts that no kept model names, and litter of
// crashes. It returns the number of files and bytes removed.
func (s *Store) Garbage() (files int, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range []string{blobsDir, partsDir, refsDir} {
		list, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			return files, bytes, fmt.Errorf("content store: %w", err)
		}
		for _, f := range list {
			if s.wantedLocked(dir, f.Name()) {
				continue
			}
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue // not ours
			}
			if err := remove(s.path(dir, f.Name())); err != nil {
				return files, bytes, fmt.Errorf("content store: %w", err)
			}
			files, bytes = files+1, bytes+info.Size()
			name := strings.TrimSuffix(f.Name(), partSuffix)
			if h, ok := parseName(name); ok {
				if dir == blobsDir {
					s.dropLocked(h)
				} else {
					delete(s.parts, h)
				}
			}
		}
	}
	return files, bytes, nil
}

// wantedLocked reports whether a file of a directory of the store stays.
func (s *Store) wantedLocked(dir, name string) bool {
	switch dir {
	case refsDir:
		id, err := expert.ParseModelID(name)
		return err == nil && s.refs[id] != nil
	case partsDir:
		for _, suffix := range []string{partSuffix, treeSuffix, notesSuffix} {
			name = strings.TrimSuffix(name, suffix)
		}
	}
	h, ok := parseName(name)
	return ok && (s.count[h] > 0 || s.opened[h] || s.blobs[h] != nil && s.blobs[h].leases > 0)
}

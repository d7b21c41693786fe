package expert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	ggufSuffix     = ".gguf"
	entrySuffix    = ".json"
	manifestSuffix = ".manifest"
	// maxEntry is far above the few hundred bytes of an entry with a long path.
	maxEntry = 64 << 10
)

func modelName(path string) string {
	if m := regexp.MustCompile(splitName).FindStringSubmatch(path); m != nil {
		return filepath.Base(m[1])
	}
	return strings.TrimSuffix(filepath.Base(path), ggufSuffix)
}

// entryName is the file name of the entry of a path. Digits of a hash keep
// any path within a file name; 64 bits of it are plenty for one node.
func entryName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:8]) + entrySuffix
}

func (s *Store) readEntry(name string) (Entry, error) {
	var e Entry
	b, err := s.read(name, maxEntry)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("entry %s is damaged: %w", name, err)
	}
	if !filepath.IsAbs(e.Path) || entryName(e.Path) != name {
		return e, fmt.Errorf("entry %s is damaged", name)
	}
	return e, nil
}

func (s *Store) read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, err
}

// write replaces a file so that after a crash either the old or the new
// content is there, whole.
func (s *Store) write(name string, b []byte) (err error) {
	f, err := os.CreateTemp(s.dir, name+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(s.dir, name)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// syncDir makes a rename last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

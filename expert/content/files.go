package content

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// write puts a small file in place so that after a crash either the old or the
// new content is there, whole.
func (s *Store) write(dir, name string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, dir), tmpPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return move(f.Name(), s.path(dir, name))
}

// move renames a file that is on disk already, so that the name lasts over a
// power cut.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readSome reads a file of at most so many bytes.
func readSome(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

// remove takes a file away; that it is gone already is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

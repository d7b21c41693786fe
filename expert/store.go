package expert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNoModel: the store has no such model and there is no such file.
var ErrNoModel = errors.New("no such model")

// DemoName is the name under which [Store.Open] opens the demo model.
const DemoName = "demo"

const (
	entrySuffix    = ".json"
	manifestSuffix = ".manifest"
	// maxEntry is far above the few hundred bytes of an entry with a long path.
	maxEntry = 64 << 10
	// minIDPrefix digits of a model id are enough to name one of the few
	// models of a node, and too many for a likely file name.
	minIDPrefix = 4
)

// Store remembers imported models: for each file an entry and the manifest,
// so that a file is hashed once and not at each start. GGUF files stay where
// they are. Several processes may use one store at the same time. Entries that
// cannot be read count as absent; importing again repairs them.
type Store struct{ dir string }

// Entry is one imported file.
type Entry struct {
	Name    string    `json:"name"` // the file's name without .gguf
	Path    string    `json:"path"` // absolute
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mtime"`
	Model   ModelID   `json:"model"`

	// Note says, right after Import, what people may want to know, such as
	// that the file had changed. It is not stored.
	Note string `json:"-"`
}

// OpenStore opens the store in dir/models, which it creates when missing.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: filepath.Join(dir, "models")}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	return s, nil
}

// Import checks the GGUF file at path, computes its manifest and remembers
// both. A file that was imported and has not changed since, by size and time
// of modification, is not read again.
func (s *Store) Import(ctx context.Context, path string, p Progress) (Entry, error) {
	e, _, err := s.importFile(ctx, path, p)
	if err != nil {
		return Entry{}, fmt.Errorf("import %s: %w", plain(path), err)
	}
	return e, nil
}

func (s *Store) importFile(ctx context.Context, path string, p Progress) (Entry, *Manifest, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Entry{}, nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, nil, err
	}
	old, err := s.readEntry(entryName(path))
	known := err == nil && old.Path == path
	same := known && old.Size == info.Size() && old.ModTime.Equal(info.ModTime())
	if same {
		if m, err := s.manifest(old.Model); err == nil {
			return old, m, nil
		}
	}
	model, err := OpenModel(path, Options{})
	if err != nil {
		return Entry{}, nil, err
	}
	defer model.Close()
	m, err := model.Identify(ctx, p)
	if err != nil {
		return Entry{}, nil, err
	}
	e := Entry{Name: modelName(path), Path: path, Size: info.Size(), ModTime: info.ModTime(), Model: m.ID()}
	switch {
	case known && !same && old.Model == e.Model:
		e.Note = "the file was touched since it was imported; it is still the same model"
	case known && !same:
		e.Note = fmt.Sprintf("the file changed since it was imported; it was model %s and is now %s", old.Model.Short(), e.Model.Short())
	}
	return e, m, s.save(e, m)
}

// save writes the manifest first, so that no entry is ever without one.
func (s *Store) save(e Entry, m *Manifest) error {
	if err := s.write(e.Model.String()+manifestSuffix, m.AppendBinary(nil)); err != nil {
		return err
	}
	b, err := json.MarshalIndent(e, "", "\t")
	if err != nil {
		return err
	}
	return s.write(entryName(e.Path), append(b, '\n'))
}

// List returns all entries, by name, then by path.
func (s *Store) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	var entries []Entry
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), entrySuffix) {
			continue
		}
		if e, err := s.readEntry(f.Name()); err == nil {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	return entries, nil
}

// Find returns the entry meant by its name, its path, or the first digits of
// its model id. Several files with the same model are one model: the first by
// name is returned. The error wraps [ErrNoModel] when there is none.
func (s *Store) Find(query string) (Entry, error) {
	entries, err := s.List()
	if err != nil {
		return Entry{}, err
	}
	path, err := filepath.Abs(query)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range entries {
		if e.Path == path {
			return e, nil
		}
	}
	var found []Entry
	for _, e := range entries {
		if e.Name == strings.TrimSuffix(query, ggufSuffix) {
			found = append(found, e)
		}
	}
	if len(found) == 0 && len(query) >= minIDPrefix {
		for _, e := range entries {
			if strings.HasPrefix(e.Model.String(), strings.ToLower(query)) {
				found = append(found, e)
			}
		}
	}
	if len(found) == 0 {
		return Entry{}, fmt.Errorf("%w: %s (moeswarm model list shows those imported)", ErrNoModel, plain(query))
	}
	for _, e := range found[1:] {
		if e.Model != found[0].Model {
			return Entry{}, fmt.Errorf("%s means several models, %s (%s) and %s (%s); use a path or more of the id",
				plain(query), found[0].Model.Short(), plain(found[0].Path), e.Model.Short(), plain(e.Path))
		}
	}
	return found[0], nil
}

// Manifest returns the manifest of an imported model.
func (s *Store) Manifest(id ModelID) (*Manifest, error) {
	m, err := s.manifest(id)
	if err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	return m, nil
}

func (s *Store) manifest(id ModelID) (*Manifest, error) {
	b, err := s.read(id.String()+manifestSuffix, MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, err
	}
	if m.ID() != id {
		return nil, fmt.Errorf("the manifest of model %s is damaged", id.Short())
	}
	return m, nil
}

// Open opens a model by name, id or path, importing it when it is a file that
// is new or has changed. "demo" opens the bytes given as demo. The entry says
// what was opened; for the demo it has no path.
func (s *Store) Open(ctx context.Context, query string, demo []byte, p Progress) (*Model, Entry, error) {
	if query == DemoName {
		m, err := NewModel(DemoName, demo, Options{})
		if err != nil {
			return nil, Entry{}, err
		}
		if _, err := m.Identify(ctx, p); err != nil {
			return nil, Entry{}, err
		}
		return m, Entry{Name: DemoName, Size: int64(len(demo)), Model: m.ID()}, nil
	}
	path, err := s.path(query)
	if err != nil {
		return nil, Entry{}, err
	}
	e, manifest, err := s.importFile(ctx, path, p)
	if err != nil {
		return nil, Entry{}, fmt.Errorf("open model %s: %w", plain(query), err)
	}
	m, err := OpenModel(path, Options{Known: manifest})
	if err != nil {
		return nil, Entry{}, err
	}
	if m.file.Size != e.Size {
		return nil, Entry{}, errors.Join(fmt.Errorf("open model %s: the file is being written; try again when it is complete", plain(query)), m.Close())
	}
	return m, e, nil
}

// path decides which file is meant: what looks like a path is one; a plain
// word is a model of the store first, a file in this directory second.
func (s *Store) path(query string) (string, error) {
	if strings.ContainsRune(query, filepath.Separator) || strings.HasSuffix(query, ggufSuffix) {
		if _, err := os.Stat(query); err == nil {
			return query, nil
		}
	}
	e, err := s.Find(query)
	if err == nil {
		return e.Path, nil
	}
	if info, statErr := os.Stat(query); statErr == nil && info.Mode().IsRegular() {
		return query, nil
	}
	return "", err
}

const ggufSuffix = ".gguf"

func modelName(path string) string { return strings.TrimSuffix(filepath.Base(path), ggufSuffix) }

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

package expert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoModel: the store has no such model and there is no such file.
var ErrNoModel = errors.New("no such model")

// DemoName is the name under which [Store.Open] opens the demo model.
const DemoName = "demo"

// Store remembers imported models: for each file an entry and the manifest,
// so that a file is hashed once and not at each start. GGUF files stay where
// they are. Several processes may use one store at the same time. Entries that
// cannot be read count as absent; importing again repairs them.
type Store struct{ dir string }

// Entry is one imported file.
type Entry struct {
	Name    string    `json:"name"` // the file's name without .gguf and the number of a part
	Path    string    `json:"path"` // absolute; of the first part, if there are several
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
		return Entry{}, fmt.Errorf("import: %w", err) // which names the file already
	}
	return e, nil
}

func (s *Store) importFile(ctx context.Context, path string, p Progress) (Entry, *Manifest, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Entry{}, nil, err
	}
	path = splitPaths(path)[0]
	size, changed, err := statModel(path)
	if err != nil {
		return Entry{}, nil, err
	}
	old, err := s.readEntry(entryName(path))
	known := err == nil && old.Path == path
	same := known && old.Size == size && old.ModTime.Equal(changed)
	if same {
		if m, err := s.manifest(old.Model); err == nil {
			return old, m, nil
		}
	}
	model, err := OpenModel(path, Options{})
	if err != nil {
		return Entry{}, nil, err
	}
	m, err := model.Identify(ctx, p)
	if err = errors.Join(err, model.Close()); err != nil {
		return Entry{}, nil, err
	}
	e := Entry{Name: modelName(path), Path: path, Size: size, ModTime: changed, Model: m.ID()}
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
		return nil, Entry{}, fmt.Errorf("open model: %w", err)
	}
	m, err := OpenModel(path, Options{Known: manifest})
	if err != nil {
		return nil, Entry{}, err
	}
	if m.file.Size != e.Size {
		return nil, Entry{}, errors.Join(fmt.Errorf("open model %s: the file is being written; try again when it is complete", whole(query)), m.Close())
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

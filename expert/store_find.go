package expert

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// minIDPrefix digits of a model id are enough to name one of the few models of
// a node, and too many for a likely file name.
const minIDPrefix = 4

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
		return Entry{}, fmt.Errorf("%w: %s (moeswarm model list shows those imported)", ErrNoModel, whole(query))
	}
	for _, e := range found[1:] {
		if e.Model != found[0].Model {
			return Entry{}, fmt.Errorf("%s means several models, %s (%s) and %s (%s); use a path or more of the id",
				whole(query), found[0].Model.Short(), whole(found[0].Path), e.Model.Short(), whole(e.Path))
		}
	}
	return found[0], nil
}

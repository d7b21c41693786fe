package expert_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// storeTest is a store beside some model files.
type storeTest struct {
	*testing.T
	dir   string
	store *expert.Store
}

func newStoreTest(t *testing.T) storeTest {
	t.Helper()
	dir := t.TempDir()
	s, err := expert.OpenStore(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return storeTest{t, dir, s}
}

func (t storeTest) file(name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// imports imports and says whether the file was hashed.
func (t storeTest) imports(path string) (e expert.Entry, hashed bool) {
	t.Helper()
	e, err := t.store.Import(context.Background(), path, func(done, total int64) { hashed = true })
	if err != nil {
		t.Fatal(err)
	}
	return e, hashed
}

func TestImport(tt *testing.T) {
	t := newStoreTest(tt)
	tiny := tinyFile(t, "Q8_0")
	path := t.file("tiny.gguf", tiny)
	e, hashed := t.imports(path)
	if !hashed || e.Name != "tiny" || e.Path != path || e.Size != int64(len(tiny)) || e.Model != open(t, tiny).ID() || e.Note != "" {
		t.Errorf("imported as %+v, hashed: %v", e, hashed)
	}
	if again, hashed := t.imports(path); hashed || again.Model != e.Model || again.Note != "" {
		t.Errorf("again: %+v, hashed: %v", again, hashed)
	}
	m, err := t.store.Manifest(e.Model)
	if err != nil || m.ID() != e.Model {
		t.Errorf("manifest: %v", err)
	}

	if err := os.Chtimes(path, time.Time{}, e.ModTime.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	touched, hashed := t.imports(path)
	if !hashed || touched.Model != e.Model || !strings.Contains(touched.Note, "still the same model") {
		t.Errorf("touched: %+v, hashed: %v", touched, hashed)
	}
	other := t.file("tiny.gguf", tinyFile(t, "Q4_0"))
	changed, hashed := t.imports(other)
	if !hashed || changed.Model == e.Model || !strings.Contains(changed.Note, "was model "+e.Model.Short()+" and is now "+changed.Model.Short()) {
		t.Errorf("changed: %+v, hashed: %v", changed, hashed)
	}
	if entries, err := t.store.List(); err != nil || len(entries) != 1 || entries[0].Note != "" {
		t.Errorf("list: %+v, %v", entries, err)
	}
	checkNoLitter(t)
}

// checkNoLitter fails when a temporary file is left.
func checkNoLitter(t storeTest) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(t.dir, "data", "models", "*.tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestImportRefuses(tt *testing.T) {
	t := newStoreTest(tt)
	tiny := tinyFile(t, "Q8_0")
	for name, data := range map[string][]byte{"text.gguf": []byte("no model"), "cut.gguf": tiny[:len(tiny)*3/4]} {
		path := t.file(name, data)
		_, err := t.store.Import(context.Background(), path, nil)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		oneLine(t, err)
	}
	if _, err := t.store.Import(context.Background(), filepath.Join(t.dir, "absent"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := t.store.Import(ctx, t.file("tiny.gguf", tiny), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if entries, err := t.store.List(); err != nil || len(entries) != 0 {
		t.Errorf("list: %+v, %v", entries, err)
	}
}

func TestFind(tt *testing.T) {
	t := newStoreTest(tt)
	if err := os.Mkdir(filepath.Join(t.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	a, _ := t.imports(t.file("a.gguf", tinyFile(t, "Q8_0")))
	b, _ := t.imports(t.file("b.gguf", tinyFile(t, "Q4_0")))
	for query, want := range map[string]expert.Entry{
		"a": a, "b": b, "b.gguf": b, a.Path: a, a.Model.String(): a,
		b.Model.Short(): b, strings.ToUpper(b.Model.String()[:6]): b,
	} {
		if got, err := t.store.Find(query); err != nil || got.Path != want.Path {
			t.Errorf("%s: got %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{"c", "", a.Model.String()[:2], "no\nsuch", filepath.Join(t.dir, "sub", "a.gguf")} {
		_, err := t.store.Find(query)
		if !errors.Is(err, expert.ErrNoModel) {
			t.Errorf("%q: got %v", query, err)
			continue
		}
		oneLine(t, err)
	}
	// A second file called a: the name alone no longer says which.
	t.imports(t.file("sub/a.gguf", tinyFile(t, "F16")))
	if _, err := t.store.Find("a"); err == nil || !strings.Contains(err.Error(), "means several models") {
		t.Errorf("got %v", err)
	}
	// A copy of b: one model, whichever file.
	t.imports(t.file("sub/b.gguf", tinyFile(t, "Q4_0")))
	if got, err := t.store.Find("b"); err != nil || got.Model != b.Model {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOpen(tt *testing.T) {
	t := newStoreTest(tt)
	ctx := context.Background()
	path := t.file("tiny.gguf", tinyFile(t, "Q8_0"))
	var hashed bool
	progress := func(done, total int64) { hashed = true }
	for i, query := range []string{path, path, "tiny"} {
		hashed = false
		m, e, err := t.store.Open(ctx, query, nil, progress)
		if err != nil {
			t.Fatal(err)
		}
		if hashed != (i == 0) || m.ID() != e.Model || e.Path != path {
			t.Errorf("%s: opened %+v, hashed: %v", query, e, hashed)
		}
		usable(t, m)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	m, e, err := t.store.Open(ctx, "demo", demo.GGUF(), nil)
	if err != nil || e.Name != "demo" || e.Path != "" || e.Model.String() != demoID || m.Name() != "demo" {
		t.Errorf("demo: %+v, %v", e, err)
	}
	if _, _, err := t.store.Open(ctx, "mixtral", nil, nil); !errors.Is(err, expert.ErrNoModel) {
		t.Errorf("got %v", err)
	}
	if _, _, err := t.store.Open(ctx, "demo", nil, nil); !errors.Is(err, gguf.ErrNotGGUF) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := t.store.Open(ctx, "tiny", nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: got %v", err)
	}
}

// TestDamagedStore: whatever happens to the store's own files, importing
// repairs it.
func TestDamagedStore(tt *testing.T) {
	t := newStoreTest(tt)
	path := t.file("tiny.gguf", tinyFile(t, "Q8_0"))
	want, _ := t.imports(path)
	files, err := os.ReadDir(filepath.Join(t.dir, "data", "models"))
	if err != nil || len(files) != 2 {
		t.Fatalf("the store has %v, %v", files, err)
	}
	for _, f := range files {
		for _, junk := range []string{"", "{}", "null", `{"path":"/other"}`, strings.Repeat("x", 100_000)} {
			if err := os.WriteFile(filepath.Join(t.dir, "data", "models", f.Name()), []byte(junk), 0o600); err != nil {
				t.Fatal(err)
			}
			if entries, err := t.store.List(); err != nil || len(entries) > 1 {
				t.Errorf("%s damaged: list %v, %v", f.Name(), entries, err)
			}
			if got, hashed := t.imports(path); got.Model != want.Model || !hashed {
				t.Errorf("%s damaged: imported as %+v, hashed: %v", f.Name(), got, hashed)
			}
		}
	}
	checkNoLitter(t)
}

func TestStoreNeedsDirectory(tt *testing.T) {
	t := newStoreTest(tt)
	if _, err := expert.OpenStore(t.file("file", nil)); err == nil {
		t.Error("a store in a file")
	}
}

package expert_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// splitFile writes a model as n files, as llama-gguf-split does: all metadata
// in the first, tensors shared out in order. change may spoil a part's keys.
func splitFile(t *testing.T, file []byte, n int, change func(part int, kvs []gguf.KV) []gguf.KV) (paths []string) {
	t.Helper()
	f, err := gguf.Parse(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range n {
		var kvs []gguf.KV
		if i == 0 {
			kvs = append(kvs, f.KVs...)
		}
		kvs = append(kvs, gguf.KV{Key: "split.no", Value: uint16(i)}, gguf.KV{Key: "split.count", Value: uint16(n)},
			gguf.KV{Key: "split.tensors.count", Value: int32(len(f.Tensors))})
		if change != nil {
			kvs = change(i, kvs)
		}
		var specs []gguf.TensorSpec
		for _, x := range f.Tensors[len(f.Tensors)*i/n : len(f.Tensors)*(i+1)/n] {
			specs = append(specs, gguf.TensorSpec{Name: x.Name, Type: x.Type, Shape: x.Shape, Data: func(w io.Writer) error {
				_, err := w.Write(file[x.Offset : x.Offset+x.Size])
				return err
			}})
		}
		var b bytes.Buffer
		if err := gguf.Write(&b, kvs, specs); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("tiny-%05d-of-%05d.gguf", i+1, n)))
		if err := os.WriteFile(paths[i], b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestSplitFiles: a model in several files is the model in one.
func TestSplitFiles(t *testing.T) {
	whole := tinyFile(t, "Q8_0")
	want := open(t, whole).ID()
	paths := splitFile(t, whole, 3, nil)
	for _, path := range []string{paths[0], paths[2]} {
		m, err := expert.OpenModel(path, expert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m.ID() != want {
			t.Errorf("%s: model %v, want %v", path, m.ID(), want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	store, err := expert.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e, err := store.Import(t.Context(), paths[1], nil)
	if err != nil || e.Model != want || e.Name != "tiny" || e.Path != paths[0] {
		t.Errorf("imported %+v, %v", e, err)
	}
	m, _, err := store.Open(t.Context(), "tiny", nil, nil)
	if err != nil || m.ID() != want {
		t.Errorf("by name: %v", err)
	} else {
		m.Close()
	}
}

func TestSplitFilesThatDoNotFit(t *testing.T) {
	whole := tinyFile(t, "Q8_0")
	expect := func(path, text string) {
		t.Helper()
		_, err := expert.OpenModel(path, expert.Options{})
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	paths := splitFile(t, whole, 3, nil)
	if err := os.Rename(paths[1], paths[1]+".part"); err != nil {
		t.Fatal(err)
	}
	expect(paths[0], "part 2 of 3 is missing: put ")
	if _, err := expert.OpenModel(paths[0], expert.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v is not os.ErrNotExist", err)
	}
	alone := filepath.Join(t.TempDir(), "renamed.gguf")
	if err := os.Rename(paths[0], alone); err != nil {
		t.Fatal(err)
	}
	expect(alone, "the file is one of 3 parts of a model")

	set := func(key string, value any) func(int, []gguf.KV) []gguf.KV {
		return func(part int, kvs []gguf.KV) []gguf.KV {
			for i := range kvs {
				if kvs[i].Key == key {
					kvs[i].Value = value
				}
			}
			return kvs
		}
	}
	expect(splitFile(t, whole, 2, set("split.no", uint16(1)))[0], "part 1 says that it is part 2")
	expect(splitFile(t, whole, 2, set("split.count", uint16(9)))[0], "of a model of 9 files, the first of one of 2")
	expect(splitFile(t, whole, 2, set("split.tensors.count", int32(7)))[0], "the first says 7")
	broken := splitFile(t, whole, 2, nil)
	if err := os.Truncate(broken[1], 5000); err != nil {
		t.Fatal(err)
	}
	expect(broken[0], "part 2 of 2")
}

package expert_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
)

// residentFiles is how much of files this process has in memory, in bytes.
func residentFiles(t *testing.T) (n int64) {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip("this system does not tell what is in memory: ", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "RssFile:"); ok {
			fmt.Sscan(value, &n)
			return n << 10
		}
	}
	t.Skip("this kernel does not tell what is in memory of files")
	return 0
}

// A node that holds some experts of a file has hashed all of it, and does not keep
// it in its memory.
func TestHashedFileIsLeft(t *testing.T) {
	c, err := synth.Named("olmoe")
	if err == nil {
		c, err = c.Cut(1)
	}
	if err == nil {
		c, err = c.Thin(16, 1000)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := synth.WriteFile(t.Context(), path, c, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	size, most := m.File().Size, int64(0)
	before := residentFiles(t)
	if _, err := m.Identify(t.Context(), func(_, _ int64) { most = max(most, residentFiles(t)-before) }); err != nil {
		t.Fatal(err)
	}
	if most < size/2 {
		t.Fatalf("%d MB of %d were in memory at most: what is to be left?", most>>20, size>>20)
	}
	if left := residentFiles(t) - before; left > size/4 {
		t.Errorf("%d MB of %d are still in memory", left>>20, size>>20)
	}
}

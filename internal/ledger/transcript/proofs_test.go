package transcript

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func TestProofs(t *testing.T) {
	dir := t.TempDir()
	p, err := OpenProofs(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want []ledger.Chunk
	for i := range byte(5) {
		c := written(uint64(i), 3).Parts[0].Chunk
		c.Session, c.Epoch = ledger.Session{i}, 7
		if err := p.Keep(c); err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	if size := len(ledger.Encode(&want[0])); size != ledger.ChunkSize {
		t.Fatalf("a chunk has %d bytes, not %d", size, ledger.ChunkSize)
	}
	// Killed while the last was written.
	file := filepath.Join(dir, "7")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b[:len(b)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenProofs(dir); err != nil {
		t.Fatal(err)
	}
	if err := p.Keep(want[4]); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenProofs(dir); err != nil || !slices.Equal(p.Of(7), want) {
		t.Errorf("%d answers after a torn write: %v", len(p.Of(7)), err)
	}
	if all, err := ReadProofs(dir); err != nil || !slices.Equal(all, want) {
		t.Errorf("%d answers beside the node: %v", len(all), err)
	}
	if c, ok := p.Find(ledger.Session{3}); !ok || c != want[3] {
		t.Error("an answer is not found by its session")
	}
	for _, epoch := range []uint64{7 + proofEpochs, 8 + proofEpochs} {
		if err := p.Turn(epoch); err != nil {
			t.Fatal(err)
		}
		if n := len(p.Of(7)); (n == 5) != (epoch == 7+proofEpochs) {
			t.Errorf("epoch %d: %d answers", epoch, n)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files are left", len(files))
	}
}

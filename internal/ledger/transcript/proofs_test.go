package transcript

import (
	"bytes"
	"encoding/binary"
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
	var want []Proof
	for i := range byte(5) {
		c := written(uint64(i), 3).Parts[0].Chunk
		c.Session, c.Epoch = ledger.Session{i}, 7
		x := Proof{c, 1000 + uint32(i)}
		if err := p.Keep(x); err != nil {
			t.Fatal(err)
		}
		want = append(want, x)
	}
	if size := len(ledger.Encode(&want[0].Chunk)); size != ledger.ChunkSize {
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

// FuzzProofs: whatever lies on the disk is read as whole records of its epoch or
// not at all.
func FuzzProofs(f *testing.F) {
	c := written(1, 3).Parts[0].Chunk
	c.Epoch = 7
	one := append(ledger.Encode(&c), 0, 0, 1, 2)
	f.Add(one)
	f.Add(append(one, one[:len(one)-1]...))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(dir, "7")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, rest, err := readProofs(file, 7)
		if err != nil || rest != len(b)%proofSize || len(all) > len(b)/proofSize {
			t.Fatalf("%d records and %d bytes of %d: %v", len(all), rest, len(b), err)
		}
		for _, x := range all {
			if x.Chunk.Epoch != 7 || !bytes.Contains(b, binary.BigEndian.AppendUint32(ledger.Encode(&x.Chunk), x.Tokens)) {
				t.Errorf("%+v is not on the disk", x)
			}
		}
	})
}

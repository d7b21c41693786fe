package tree

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"lukechampine.com/blake3"
)

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

func TestChunksAreCheckedAlone(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	for _, n := range []int{1, 31, 1024, Chunk - 1, Chunk, Chunk + 1, 3*Chunk + 5, 8 * Chunk, 11*Chunk - 1} {
		b := random(n, seed)
		h, tr, err := Build(bytes.NewReader(b), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		if h != blake3.Sum256(b) {
			t.Fatalf("%d bytes: not BLAKE3", n)
		}
		if err := tr.Check(h, int64(n)); err != nil || len(tr) != Size(int64(n)) {
			t.Fatalf("%d bytes: %v, tree of %d", n, err, len(tr))
		}
		if n <= Chunk && !bytes.Equal(tr, Leaf(int64(n))) {
			t.Errorf("%d bytes: a leaf has another tree", n)
		}
		for at := 0; at < n; at += Chunk {
			c := bytes.Clone(b[at:min(at+Chunk, n)])
			if !tr.Holds(h, int64(at), c) {
				t.Fatalf("%d bytes: chunk at %d refused", n, at)
			}
			c[r.IntN(len(c))] ^= 1 << r.IntN(8)
			if tr.Holds(h, int64(at), c) {
				t.Fatalf("seed %d: %d bytes: damaged chunk at %d accepted", seed, n, at)
			}
			if at > 0 && tr.Holds(h, 0, b[at:min(at+Chunk, n)]) {
				t.Fatalf("%d bytes: chunk at %d accepted at 0", n, at)
			}
		}
		for range 50 {
			bad := bytes.Clone(tr)
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			if Tree(bad).Check(h, int64(n)) == nil {
				t.Fatalf("seed %d: %d bytes: damaged tree accepted", seed, n)
			}
		}
		if tr.Check(h, int64(n)+1) == nil || tr[:len(tr)-1].Check(h, int64(n)) == nil {
			t.Errorf("%d bytes: another size accepted", n)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, n := range []int64{-1, 0, MaxSize + 1} {
		if _, _, err := Build(bytes.NewReader(nil), n); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
	if _, _, err := Build(bytes.NewReader(make([]byte, 5)), 6); err == nil {
		t.Error("short content accepted")
	}
}

func FuzzTree(f *testing.F) {
	b := random(3*Chunk+5, 1)
	h, tr, _ := Build(bytes.NewReader(b), int64(len(b)))
	f.Add([]byte(tr), h[:], int64(len(b)), int64(Chunk), b[:100])
	f.Fuzz(func(t *testing.T, tr, hash []byte, size, at int64, chunk []byte) {
		if len(hash) != 32 {
			return
		}
		if Tree(tr).Check(Hash(hash), size) == nil && size > Chunk && Hash(hash) != h {
			t.Fatal("a tree was forged")
		}
		if Tree(tr).Holds(Hash(hash), at, chunk) && len(chunk) > Chunk {
			t.Fatal("a long chunk was accepted")
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	data := random(12*Chunk, 1)
	h, tr, _ := Build(bytes.NewReader(data), int64(len(data)))
	b.SetBytes(Chunk)
	for b.Loop() {
		if !tr.Holds(h, 5*Chunk, data[5*Chunk:6*Chunk]) {
			b.Fatal()
		}
	}
}

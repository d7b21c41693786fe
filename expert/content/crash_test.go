package content

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeswarm/moeswarm/internal/tree"
)

// TestCrashAtAnyByte cuts a fetch off at random moments, damages what a torn
// write may damage, and goes on: nothing that is sound is asked for again, and
// the blob is whole in the end.
func TestCrashAtAnyByte(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	b, p, tr := made(t, 9*tree.Chunk+100, seed)
	dir := t.TempDir()
	puts := map[int]int{}
	for round := 0; ; round++ {
		s := openStore(t, dir, 0)
		x, err := s.Begin(p)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if err := x.PutTree(tr); err != nil {
				t.Fatal(err)
			}
		} else if x.NeedsTree() {
			t.Fatal("the tree is fetched twice")
		}
		if _, err := s.Begin(p); !errors.Is(err, ErrBusy) {
			t.Errorf("two fetch one blob: %v", err)
		}
		missing := x.Missing()
		r.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
		for _, i := range missing[:min(len(missing), 1+r.IntN(2))] {
			bad := bytes.Clone(chunkOf(b, i))
			bad[r.IntN(len(bad))] ^= 1
			if err := x.Put(i, bad, 0); !errors.Is(err, ErrBadChunk) {
				t.Fatalf("a bad chunk: %v", err)
			}
			if err := x.Put(i, chunkOf(b, i), 0); err != nil {
				t.Fatal(err)
			}
			puts[i]++
		}
		if x.Whole() {
			if err := x.Finish(); err != nil {
				t.Fatal(err)
			}
			l, err := s.Lease(p.Hash)
			if err != nil || !bytes.Equal(l.Data, b) {
				t.Fatal(err)
			}
			l.Release()
			break
		}
		if err := x.Finish(); err == nil {
			t.Fatal("finished without all chunks")
		}
		s.Close() // as the system does for a process that is killed
		if round == 2 {
			// A torn write of a chunk that was not confirmed.
			i := x.Missing()[0]
			part := filepath.Join(dir, "content", partsDir, nameOf(p.Hash)+partSuffix)
			f, err := os.OpenFile(part, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(chunkOf(b, i)[:r.IntN(100)], int64(i)*tree.Chunk); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	for i, n := range puts {
		if n != 1 {
			t.Errorf("seed %d: chunk %d was fetched %d times", seed, i, n)
		}
	}
}

// TestDamageIsFound: a blob that rots is found on first use, by a check, and
// when it is about to be sent; it is removed, and never given out.
func TestDamageIsFound(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	b, p, tr := made(t, 3*tree.Chunk, 1)
	file := filepath.Join(dir, "content", blobsDir, nameOf(p.Hash))
	rot := func() {
		t.Helper()
		bad := bytes.Clone(b)
		bad[2*tree.Chunk+5] ^= 4
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, 0)
	gone := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrDamaged) || s.Has(p.Hash) {
			t.Errorf("%s: %v, here: %v", what, err, s.Has(p.Hash))
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is still there", what)
		}
	}
	put(t, s, b, p, tr)
	rot()
	_, err := s.Lease(p.Hash)
	gone("first use", err)

	put(t, s, b, p, tr)
	if err := s.Check(ctx, p.Hash); err != nil {
		t.Fatal(err)
	}
	rot()
	gone("a check", s.Check(ctx, p.Hash))

	put(t, s, b, p, tr)
	shelf := NewShelf(s)
	buf := make([]byte, tree.Chunk)
	if n, err := shelf.Read(ctx, p.Hash, 0, buf); err != nil || !bytes.Equal(buf[:n], b[:tree.Chunk]) {
		t.Fatal(err)
	}
	rot()
	if _, err := shelf.Read(ctx, p.Hash, tree.Chunk, buf); err != nil {
		t.Errorf("a sound chunk: %v", err)
	}
	_, err = shelf.Read(ctx, p.Hash, 2*tree.Chunk, buf)
	gone("sending", err)

	put(t, s, b, p, tr)
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	_, err = s.Lease(p.Hash)
	gone("cut off", err)
}

// TestPartOfAChunk: the beginning of a chunk outlives the process, and the chunk
// is believed when it is whole only.
func TestPartOfAChunk(t *testing.T) {
	const chunk, first = 1, 1000
	dir := t.TempDir()
	b, p, tr := made(t, 3*tree.Chunk-5, 3)
	begin := func(s *Store) *Partial {
		x, err := s.Begin(p)
		if err != nil {
			t.Fatal(err)
		}
		if x.NeedsTree() {
			if err := x.PutTree(tr); err != nil {
				t.Fatal(err)
			}
		}
		return x
	}
	// again leaves everything as a kill would, and begins anew.
	again := func(s *Store) (*Store, *Partial) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, 0)
		return s, begin(s)
	}
	s := openStore(t, dir, 0)
	x := begin(s)
	whole := chunkOf(b, chunk)
	if n, err := x.Add(chunk, 0, whole[:first]); n != first || err != nil {
		t.Fatal(n, err)
	}
	s, x = again(s)
	if x.Got(chunk) != first || x.Got(0) != 0 || len(x.Missing()) != 3 {
		t.Errorf("after a kill: %d bytes of the chunk, missing %v", x.Got(chunk), x.Missing())
	}
	got := make([]byte, first)
	if err := x.ReadGot(chunk, got); err != nil || !bytes.Equal(got, whole[:first]) {
		t.Errorf("what was there: %v", err)
	}
	if err := x.Put(chunk, whole, first); err != nil {
		t.Error(err)
	}
	if n, err := x.Add(chunk, 0, []byte("late")); n != 0 || err != nil {
		t.Errorf("a late part of a chunk that is here: %d, %v", n, err)
	}

	// What is wrong with the beginning of a chunk is found when it is whole; it
	// then comes in one go.
	if _, err := x.Add(0, 0, []byte("lies")); err != nil {
		t.Fatal(err)
	}
	s, x = again(s)
	if x.Got(0) != 4 || x.Got(chunk) != 0 {
		t.Errorf("%d bytes of the one, %d of what is whole", x.Got(0), x.Got(chunk))
	}
	mixed := append([]byte("lies"), chunkOf(b, 0)[4:]...)
	if err := x.Put(0, mixed, 4); !errors.Is(err, ErrBadChunk) || x.Got(0) != 0 {
		t.Errorf("lies and truth: %v, %d bytes kept", err, x.Got(0))
	}
	if n, err := x.Add(0, 0, whole[:first]); n != 0 || err != nil || x.Got(0) != 0 {
		t.Errorf("kept in part again: %d, %v", n, err)
	}
	s, x = again(s)
	if x.Got(0) != 0 {
		t.Error("the lie is back")
	}
	// Notes that point past what is there, as after a power cut, count nothing.
	x.Close()
	notes := s.path(partsDir, nameOf(p.Hash)+notesSuffix)
	if err := os.WriteFile(notes, bytes.Repeat([]byte{0xff}, 12), 0o600); err != nil {
		t.Fatal(err)
	}
	s, x = again(s)
	for _, i := range x.Missing() {
		if x.Got(i) != 0 {
			t.Errorf("chunk %d: %d bytes by notes that are wrong", i, x.Got(i))
		}
		if err := x.Put(i, chunkOf(b, i), 0); err != nil {
			t.Error(err)
		}
	}
	if err := x.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(notes); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the notes stay: %v", err)
	}
	if l, err := s.Lease(p.Hash); err != nil || !bytes.Equal(l.Data, b) {
		t.Error(err)
	} else {
		l.Release()
	}
}

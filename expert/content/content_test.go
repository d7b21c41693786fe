package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/tree"
)

func model(t testing.TB) *expert.Model {
	t.Helper()
	c, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := synth.Write(context.Background(), &b, c, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.NewModel("tiny", b.Bytes(), expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openStore(t testing.TB, dir string, budget int64) *Store {
	t.Helper()
	s, err := Open(dir, budget)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// made is content of n bytes, its piece and tree.
func made(t testing.TB, n int, seed uint64) ([]byte, expert.Piece, tree.Tree) {
	t.Helper()
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	h, tr, err := tree.Build(bytes.NewReader(b), int64(n))
	if err != nil {
		t.Fatal(err)
	}
	return b, expert.Piece{Hash: h, Size: int64(n)}, tr
}

// put brings content into the store, chunk by chunk, as far as it is missing.
func put(t testing.TB, s *Store, b []byte, p expert.Piece, tr tree.Tree) {
	t.Helper()
	x, err := s.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	if x.NeedsTree() {
		if err := x.PutTree(tr); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range x.Missing() {
		if err := x.Put(i, chunkOf(b, i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Finish(); err != nil {
		t.Fatal(err)
	}
}

func chunkOf(b []byte, i int) []byte { return b[i*tree.Chunk : min((i+1)*tree.Chunk, len(b))] }

func TestStoreKeepsBlobs(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	for i, n := range []int{1, tree.Chunk, 3*tree.Chunk + 7} {
		b, p, tr := made(t, n, uint64(i))
		if _, err := s.Lease(p.Hash); !errors.Is(err, ErrAbsent) {
			t.Errorf("before: %v", err)
		}
		put(t, s, b, p, tr)
		l, err := s.Lease(p.Hash)
		if err != nil || !bytes.Equal(l.Data, b) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		again, err := s.Lease(p.Hash)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		l.Release()
		if !bytes.Equal(again.Data, b) {
			t.Error("gone with the first lease")
		}
		again.Release()
	}
	if _, err := Open(dir, 0); !errors.Is(err, ErrInUse) {
		t.Errorf("two at once: %v", err)
	}
	s.Close()
	s = openStore(t, dir, 0)
	if got := len(s.Entries(nil)); got != 3 || s.Used() != 1+tree.Chunk+3*tree.Chunk+7 {
		t.Errorf("after a restart: %d blobs, %d bytes", got, s.Used())
	}
}

func TestShelf(t *testing.T) {
	ctx := t.Context()
	m := model(t)
	man := m.Manifest()
	s := openStore(t, t.TempDir(), 0)
	shelf := NewShelf(s)
	if _, err := shelf.Manifest(m.ID()); !errors.Is(err, expert.ErrUnknownExpert) {
		t.Errorf("got %v", err)
	}
	if err := s.Keep(man); err != nil {
		t.Fatal(err)
	}
	if b, err := shelf.Manifest(m.ID()); err != nil || !bytes.Equal(b, man.AppendBinary(nil)) {
		t.Errorf("from the store: %v", err)
	}
	if _, err := shelf.Tree(ctx, man.Trunk.Hash); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v", err)
	}
	shelf.Add(m)
	for _, p := range append([]expert.Piece{man.Trunk}, man.Experts...) {
		tr, err := shelf.Tree(ctx, p.Hash)
		if err != nil || tree.Tree(tr).Check(p.Hash, p.Size) != nil {
			t.Fatalf("tree: %v", err)
		}
		part, _ := m.Part(p.Hash)
		whole, err := io.ReadAll(io.NewSectionReader(part, 0, p.Size))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += tree.Chunk {
			want := whole[at:min(at+tree.Chunk, len(whole))]
			got := make([]byte, tree.Chunk)
			if n, err := shelf.Read(ctx, p.Hash, int64(at), got); err != nil || !bytes.Equal(got[:n], want) {
				t.Fatalf("chunk at %d: %v", at, err)
			}
		}
		for _, bad := range []struct {
			at  int64
			len int
		}{{1, tree.Chunk}, {0, 0}, {0, tree.Chunk - 1}, {tree.Chunk * 100, tree.Chunk}, {-tree.Chunk, tree.Chunk}} {
			if _, err := shelf.Read(ctx, p.Hash, bad.at, make([]byte, bad.len)); !errors.Is(err, expert.ErrBadCall) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	}
}

// TestGarbage: what no kept model names goes, whatever it is; shared blobs stay
// as long as one model names them.
func TestGarbage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	m := model(t).Manifest()
	if err := s.Keep(m); err != nil {
		t.Fatal(err)
	}
	b, p, tr := made(t, 2*tree.Chunk, 3)
	put(t, s, b, p, tr)
	orphan, err := s.Begin(expert.Piece{Hash: expert.Digest{9}, Size: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orphan.Add(0, 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	orphan.Close()
	for _, litter := range []string{"blobs/x", "parts/tmp-123", "refs/tmp-9"} {
		if err := os.WriteFile(filepath.Join(dir, "content", litter), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := s.Lease(p.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.Garbage(); err != nil || n != 5 || !s.Has(p.Hash) {
		t.Errorf("%d files, %v; in use and gone: %v", n, err, !s.Has(p.Hash))
	}
	l.Release()
	if n, bytes, err := s.Garbage(); err != nil || n != 1 || bytes != p.Size || s.Used() != 0 {
		t.Errorf("%d files of %d bytes, %v", n, bytes, err)
	}
	if err := s.Forget(m.ID()); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(m.ID()); !errors.Is(err, expert.ErrNoModel) {
		t.Errorf("got %v", err)
	}
}

// TestRefsLast: kept models are known after a restart; a damaged reference is
// as none.
func TestRefsLast(t *testing.T) {
	dir := t.TempDir()
	m := model(t).Manifest()
	s := openStore(t, dir, 0)
	if err := s.Keep(m); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openStore(t, dir, 0)
	if got, ok := s.Manifest(m.ID()); !ok || got.ID() != m.ID() || len(s.Models()) != 1 {
		t.Fatal("forgotten")
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "content", refsDir, m.ID().String()), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, 0)
	if _, ok := s.Manifest(m.ID()); ok {
		t.Error("a damaged manifest is believed")
	}
}

func TestVictims(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	h := func(b byte) expert.Digest { return expert.Digest{b} }
	entries := []Entry{
		{Hash: h(1), Size: 10, Refs: 1, Replicas: 0, Used: at(1)},
		{Hash: h(2), Size: 10, Refs: 1, Replicas: 5, Used: at(9)},
		{Hash: h(3), Size: 10, Refs: 2, Replicas: 2, Used: at(2)},
		{Hash: h(4), Size: 10, Refs: 0, Replicas: 0, Used: at(8)},
		{Hash: h(5), Size: 10, Refs: 0, Replicas: 9, InUse: true},
		{Hash: h(6), Size: 10, Refs: 1, Replicas: 2, Used: at(1)},
	}
	for need, want := range map[int64]string{0: "", 1: "4", 10: "4", 11: "42", 21: "426", 40: "4263"} {
		got, ok := Victims(entries, need)
		var s strings.Builder
		for _, v := range got {
			s.WriteByte('0' + v[0])
		}
		if !ok || s.String() != want {
			t.Errorf("need %d: %s, %v; want %s", need, s.String(), ok, want)
		}
	}
	if _, ok := Victims(entries, 41); ok {
		t.Error("a last copy or one in use was given up")
	}
}

func TestRoom(t *testing.T) {
	s := openStore(t, t.TempDir(), 4*tree.Chunk)
	b, p, tr := made(t, 3*tree.Chunk, 1)
	put(t, s, b, p, tr)
	next := expert.Piece{Hash: expert.Digest{7}, Size: 2 * tree.Chunk}
	if err := s.Room(expert.Piece{Hash: expert.Digest{8}, Size: tree.Chunk}, nil); err != nil {
		t.Errorf("it fits: %v", err)
	}
	l, err := s.Lease(p.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Room(next, nil); !errors.Is(err, ErrFull) || strings.Contains(err.Error(), "\n") {
		t.Errorf("in use: %v", err)
	}
	l.Release()
	if err := s.Room(next, func(expert.Digest) int { return 1 }); err != nil || s.Has(p.Hash) {
		t.Errorf("%v; still here: %v", err, s.Has(p.Hash))
	}
}

// FuzzIndex: whatever lies in the directory of a store, opening it, using what
// is listed and collecting garbage is safe, and nothing unsound is given out.
func FuzzIndex(f *testing.F) {
	m := model(f).Manifest()
	_, p, _ := made(f, 100, 1)
	f.Add("blobs/"+nameOf(p.Hash), []byte("not that"))
	f.Add("refs/"+m.ID().String(), m.AppendBinary(nil)[:50])
	f.Add("parts/"+nameOf(p.Hash)+treeSuffix, []byte{1})
	f.Add("parts/"+nameOf(p.Hash)+partSuffix, []byte{1})
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		dir, file, ok := strings.Cut(name, "/")
		if !ok || !slices.Contains([]string{blobsDir, partsDir, refsDir}, dir) || !filepath.IsLocal(file) || strings.ContainsAny(file, "/\x00") || len(file) > 200 {
			return
		}
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "content", dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "content", dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, root, 0)
		for _, e := range s.Entries(nil) {
			l, err := s.Lease(e.Hash)
			if err != nil {
				continue
			}
			if h, _ := tree.Sum(l.Data); h != e.Hash {
				t.Fatal("unsound content was given out")
			}
			l.Release()
		}
		if x, err := s.Begin(p); err == nil {
			x.Missing()
			x.Close()
		}
		if _, _, err := s.Garbage(); err != nil {
			t.Fatal(err)
		}
		s.Close()
	})
}

// FuzzNotes: whatever lies beside and in the file of a blob that is on its way,
// no chunk is believed that is not sound, and the fetch ends well.
func FuzzNotes(f *testing.F) {
	b, p, tr := made(f, tree.Chunk+700, 5)
	f.Add([]byte{1, 0, 0, 0, 9, 0, 0, 0}, []byte("x"), uint16(9))
	f.Add(bytes.Repeat([]byte{0xff}, 8), b[:100], uint16(0))
	f.Add([]byte{0, 0}, b, uint16(700))
	f.Fuzz(func(t *testing.T, notes, part []byte, from uint16) {
		dir := t.TempDir()
		s := openStore(t, dir, 0)
		for suffix, data := range map[string][]byte{treeSuffix: tr, notesSuffix: notes, partSuffix: part} {
			if err := os.WriteFile(s.path(partsDir, nameOf(p.Hash)+suffix), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		x, err := s.Begin(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range x.Missing() {
			chunk := bytes.Clone(chunkOf(b, i))
			got := x.Got(i)
			if got >= len(chunk) {
				t.Fatalf("%d bytes of a chunk of %d, which is missing", got, len(chunk))
			}
			if err := x.ReadGot(i, chunk[:got]); err != nil {
				t.Fatal(err)
			}
			written := got
			if to := min(len(chunk)-1, got+int(from)); to > got {
				if written, err = x.Add(i, got, chunk[got:to]); err != nil || written != to {
					t.Fatal(written, err)
				}
			}
			err := x.Put(i, chunk, written)
			if sound := bytes.Equal(chunk, chunkOf(b, i)); sound != (err == nil) || !sound && !errors.Is(err, ErrBadChunk) {
				t.Fatalf("sound %v: %v", sound, err)
			}
			if err != nil && x.Put(i, chunkOf(b, i), 0) != nil {
				t.Fatal("a sound chunk is refused")
			}
		}
		if err := x.Finish(); err != nil {
			t.Fatal(err)
		}
		l, err := s.Lease(p.Hash)
		if err != nil || !bytes.Equal(l.Data, b) {
			t.Fatal(err)
		}
		l.Release()
		s.Close()
	})
}

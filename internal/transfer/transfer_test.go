package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// blobs is content with its pieces and trees.
type blobs struct {
	pieces []expert.Piece
	data   map[expert.Digest][]byte
	trees  map[expert.Digest]tree.Tree
}

func makeBlobs(t testing.TB, sizes ...int) *blobs {
	t.Helper()
	b := &blobs{data: map[expert.Digest][]byte{}, trees: map[expert.Digest]tree.Tree{}}
	for i, n := range sizes {
		data := make([]byte, n)
		rand.NewChaCha8([32]byte{byte(i), byte(n)}).Read(data)
		h, tr, err := tree.Build(bytes.NewReader(data), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		b.pieces = append(b.pieces, expert.Piece{Hash: h, Size: int64(n)})
		b.data[h], b.trees[h] = data, tr
	}
	return b
}

// peer is a source in memory.
type peer struct {
	*blobs
	has    func(expert.Digest) bool // nil: everything
	answer func(wire.Want) (wire.Blob, error)
	before func(n int) error // called before the nth answer

	mu   sync.Mutex
	sent int
	asks int
}

func (p *peer) honest(w wire.Want) (wire.Blob, error) {
	data, ok := p.data[w.Hash]
	if !ok || p.has != nil && !p.has(w.Hash) {
		return wire.Blob{}, wire.Refusal{Code: wire.CodeUnknownExpert, Expert: wire.NoExpert}.Err()
	}
	if w.Kind == wire.WantTree {
		return wire.Blob{Size: int64(len(p.trees[w.Hash])), Data: p.trees[w.Hash]}, nil
	}
	return wire.Blob{Size: int64(len(data)), Data: data[w.Offset : w.Offset+int64(w.Length)]}, nil
}

type stream struct {
	*peer
	ctx   context.Context
	wants []wire.Want
}

func (s *stream) Ask(w wire.Want) error { s.wants = append(s.wants, w); return nil }
func (s *stream) Close()                {}

func (s *stream) Next([]byte) (wire.Blob, error) {
	w := s.wants[0]
	s.wants = s.wants[1:]
	s.mu.Lock()
	s.asks++
	n := s.asks
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(n); err != nil {
			return wire.Blob{}, err
		}
	}
	if err := s.ctx.Err(); err != nil {
		return wire.Blob{}, err
	}
	answer := s.answer
	if answer == nil {
		answer = s.honest
	}
	b, err := answer(w)
	s.mu.Lock()
	s.sent += len(b.Data)
	s.mu.Unlock()
	return b, err
}

// config fetches all pieces of b from peers.
func config(t testing.TB, b *blobs, store *content.Store, peers map[routing.Peer]*peer) Config {
	return Config{
		Store: store, Pieces: b.pieces, Seed: 1,
		Sources: func() (all []Source) {
			for name := range peers {
				all = append(all, Source{name, func(expert.Piece) Have { return Maybe }})
			}
			return all
		},
		Open: func(ctx context.Context, p routing.Peer) (Stream, error) {
			return &stream{peer: peers[p], ctx: ctx}, nil
		},
	}
}

func openStore(t testing.TB, dir string) *content.Store {
	t.Helper()
	s, err := content.Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b *blobs) check(t testing.TB, s *content.Store) {
	t.Helper()
	for _, p := range b.pieces {
		l, err := s.Lease(p.Hash)
		if err != nil || !bytes.Equal(l.Data, b.data[p.Hash]) {
			t.Fatalf("blob of %d bytes: %v", p.Size, err)
		}
		l.Release()
	}
}

func (b *blobs) bytes() (n int) {
	for _, p := range b.pieces {
		n += int(p.Size)
		if p.Size > tree.Chunk {
			n += tree.Size(p.Size)
		}
	}
	return n
}

func TestFetchFromSeveral(t *testing.T) {
	b := makeBlobs(t, 10, tree.Chunk, 5*tree.Chunk+1, 100, 3*tree.Chunk)
	peers := map[routing.Peer]*peer{"a": {blobs: b}, "b": {blobs: b}, "c": {blobs: b, has: func(h expert.Digest) bool { return h == b.pieces[2].Hash }}}
	s := openStore(t, t.TempDir())
	cfg := config(t, b, s, peers)
	var mu sync.Mutex
	arrived := map[expert.Digest]int{}
	cfg.Arrived = func(p expert.Piece) {
		mu.Lock()
		defer mu.Unlock()
		arrived[p.Hash]++
		if !s.Has(p.Hash) {
			t.Error("arrived, and not here")
		}
	}
	cfg.Pieces = append(cfg.Pieces, b.pieces[0]) // twice the same
	status, err := Fetch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.check(t, s)
	sent := 0
	for _, p := range peers {
		sent += p.sent
	}
	if sent != b.bytes() || status.Fetched != int64(sent) || status.Done != status.Total || len(arrived) != len(b.pieces) {
		t.Errorf("%d bytes sent of %d; %+v; %d arrived", sent, b.bytes(), status, len(arrived))
	}
	for h, n := range arrived {
		if n != 1 {
			t.Errorf("%x arrived %d times", h[:4], n)
		}
	}
	// Again: nothing is asked.
	if status, err = Fetch(t.Context(), cfg); err != nil || status.Fetched != 0 || status.Done != status.Total {
		t.Errorf("again: %+v, %v", status, err)
	}
}

// TestLiar: a peer that sends bad bytes, of a chunk or of a tree, is named and
// asked no more, and everything comes from the others.
func TestLiar(t *testing.T) {
	b := makeBlobs(t, 2*tree.Chunk, 3*tree.Chunk, 50)
	liar := &peer{blobs: b}
	for _, kind := range []wire.WantKind{wire.WantTree, wire.WantChunk} {
		liar.answer = func(w wire.Want) (wire.Blob, error) {
			x, err := liar.honest(w)
			if w.Kind == kind && err == nil {
				x.Data = bytes.Clone(x.Data)
				x.Data[len(x.Data)/2] ^= 1
			}
			return x, err
		}
		asked := make(chan struct{})
		var once sync.Once
		liar.before = func(int) error { once.Do(func() { close(asked) }); return nil }
		honest := &peer{blobs: b}
		s := openStore(t, t.TempDir())
		cfg := config(t, b, s, map[routing.Peer]*peer{"liar": liar, "honest": honest})
		// The honest peer is known once the liar was asked, or it might never be.
		all := cfg.Sources
		cfg.Sources = func() (known []Source) {
			for _, s := range all() {
				select {
				case <-asked:
					known = append(known, s)
				default:
					if s.Peer == "liar" {
						known = append(known, s)
					}
				}
			}
			return known
		}
		status, err := Fetch(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.check(t, s)
		if len(status.CutOff) != 1 || status.CutOff["liar"] == "" {
			t.Errorf("kind %d: cut off: %v", kind, status.CutOff)
		}
	}
}

// TestKilledAtRandom cuts the fetch off 20 times. Over all runs no peer sends
// more than the content once and a window for each time.
func TestKilledAtRandom(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 0))
	b := makeBlobs(t, 20*tree.Chunk+9, 7*tree.Chunk, 30, 11*tree.Chunk)
	dir := t.TempDir()
	peers := map[routing.Peer]*peer{"a": {blobs: b}, "b": {blobs: b}}
	kills := 0
	for ; ; kills++ {
		s := openStore(t, dir)
		ctx, kill := context.WithCancel(t.Context())
		after := 1 + r.IntN(3)
		for _, p := range peers {
			p.before = func(n int) error {
				if after--; kills < 20 && after == 0 {
					kill()
				}
				return nil
			}
			p.asks = 0
		}
		// One source at a time keeps the count of answers exact.
		cfg := config(t, b, s, peers)
		all := cfg.Sources
		cfg.Sources = func() []Source { return all()[:1] }
		_, err := Fetch(ctx, cfg)
		kill()
		s.Close()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir)
	b.check(t, s)
	sent := peers["a"].sent + peers["b"].sent
	if most := b.bytes() + kills*Near; sent > most {
		t.Errorf("seed %d: %d bytes for %d after %d kills, at most %d", seed, sent, b.bytes(), kills, most)
	}
}

// TestSlowSourceIsOvertaken: a source that holds a chunk back does not hold up
// the end.
func TestSlowSourceIsOvertaken(t *testing.T) {
	s := NewSchedule(1, func(int) bool { return false }, 1)
	now := time.Unix(0, 0)
	slow, quick := s.Source(func(int) Have { return Yes }), s.Source(func(int) Have { return Yes })
	s.Begin(0, false, []int{0, 1, 2})
	kept, _ := s.Next(slow, now)
	for range 2 {
		p, ok := s.Next(quick, now)
		if !ok || p.Chunk == kept.Chunk {
			t.Fatalf("%+v, %v", p, ok)
		}
		now = now.Add(100 * time.Millisecond)
		s.Done(quick, p, now)
	}
	if p, ok := s.Next(quick, now); ok {
		t.Fatalf("too early: %+v", p)
	}
	now = now.Add(patience)
	p, ok := s.Next(quick, now)
	if !ok || !p.Again || p.Chunk != kept.Chunk {
		t.Fatalf("%+v, %v", p, ok)
	}
	if _, ok := s.Next(quick, now); ok {
		t.Fatal("two at once")
	}
	if !s.Done(quick, p, now) || s.Done(slow, kept, now) {
		t.Error("the later one counts")
	}
}

// TestRarestFirst: what few have comes first, what must come first before that.
func TestRarestFirst(t *testing.T) {
	s := NewSchedule(3, func(i int) bool { return i == 2 }, 1)
	a := s.Source(func(int) Have { return Yes })
	s.Source(func(i int) Have {
		if i == 1 {
			return No
		}
		return Yes
	})
	var order []int
	for range 3 {
		p, ok := s.Next(a, time.Time{})
		if !ok {
			t.Fatal("nothing to do")
		}
		s.Begin(p.Blob, false, []int{0})
		p, _ = s.Next(a, time.Time{})
		order = append(order, p.Blob)
	}
	if fmt.Sprint(order) != "[2 1 0]" {
		t.Errorf("order %v", order)
	}
}

// TestSchedule: sources that come, deliver, lose and go in any order get every
// chunk once, and no chunk is given to two but at the end.
func TestSchedule(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := 1 + r.IntN(6)
		s := NewSchedule(n, func(i int) bool { return i%3 == 0 }, seed)
		chunks, got := map[Pick]bool{}, map[Pick]bool{}
		flying := map[int][]Pick{}
		want := 0
		now := time.Unix(0, 0)
		left := make([]int, n)
		for step := 0; s.Left() > 0; step++ {
			if step > 10_000 {
				t.Fatalf("seed %d: no end", seed)
			}
			now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
			src := r.IntN(4)
			if flying[src] == nil {
				flying[src] = []Pick{}
				for len(s.sources) <= src {
					s.Source(func(int) Have { return Have(r.IntN(2)) })
				}
			}
			if r.IntN(3) > 0 {
				p, ok := s.Next(src, now)
				if !ok {
					continue
				}
				if !s.Begun(p.Blob) {
					missing := []int{}
					for i := range 1 + r.IntN(5) {
						missing = append(missing, i)
						want++
					}
					left[p.Blob] = len(missing)
					s.Begin(p.Blob, false, missing)
					continue
				}
				if chunks[Pick{p.Blob, p.Chunk, false}] && !p.Again {
					t.Fatalf("seed %d: %+v is given twice", seed, p)
				}
				chunks[Pick{p.Blob, p.Chunk, false}] = true
				flying[src] = append(flying[src], p)
				continue
			}
			if len(flying[src]) == 0 {
				continue
			}
			p := flying[src][0]
			flying[src] = flying[src][1:]
			if r.IntN(4) == 0 {
				s.Lost(src, p)
				chunks[Pick{p.Blob, p.Chunk, false}] = false
				continue
			}
			if s.Done(src, p, now) {
				if got[Pick{p.Blob, p.Chunk, false}] {
					t.Fatalf("seed %d: %+v came twice", seed, p)
				}
				got[Pick{p.Blob, p.Chunk, false}] = true
				if left[p.Blob]--; left[p.Blob] == 0 {
					s.Finish(p.Blob)
				}
			}
		}
		if len(got) != want {
			t.Fatalf("seed %d: %d chunks of %d", seed, len(got), want)
		}
	}
}

func TestManifest(t *testing.T) {
	id := expert.ModelID{1}
	lie := &peer{blobs: makeBlobs(t), answer: func(wire.Want) (wire.Blob, error) { return wire.Blob{Size: 3, Data: []byte("no!")}, nil }}
	open := func(ctx context.Context, p routing.Peer) (Stream, error) { return &stream{peer: lie, ctx: ctx}, nil }
	if _, err := Manifest(t.Context(), id, []routing.Peer{"liar"}, open); !errors.Is(err, content.ErrBadChunk) {
		t.Errorf("got %v", err)
	}
	if _, err := Manifest(t.Context(), id, nil, open); !errors.Is(err, expert.ErrNoHolder) {
		t.Errorf("got %v", err)
	}
}

// TestLieLeftBehind: a peer that sends the beginning of a chunk wrong and goes
// leaves nobody else to blame: the chunk comes again, from one source.
func TestLieLeftBehind(t *testing.T) {
	b := makeBlobs(t, 3*tree.Chunk)
	gone := make(chan struct{})
	liar := &peer{blobs: b}
	liar.answer = func(w wire.Want) (wire.Blob, error) {
		x, err := liar.honest(w)
		if w.Kind == wire.WantChunk {
			x.Data = bytes.Clone(x.Data)
			x.Data[0] ^= 1
		}
		return x, err
	}
	liar.before = func(n int) error {
		if n > 2 { // the tree, and a first range
			close(gone)
			liar.before = func(int) error { return errors.New("gone") }
			return errors.New("gone")
		}
		return nil
	}
	honest := &peer{blobs: b}
	s := openStore(t, t.TempDir())
	cfg := config(t, b, s, map[routing.Peer]*peer{"liar": liar, "honest": honest})
	cfg.Sources = func() []Source {
		name := routing.Peer("liar")
		select {
		case <-gone:
			name = "honest"
		default:
		}
		return []Source{{name, func(expert.Piece) Have { return Yes }}}
	}
	status, err := Fetch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.check(t, s)
	if len(status.CutOff) != 0 || status.Doubled != tree.Chunk {
		t.Errorf("cut off %v, %d bytes twice; want nobody, and one chunk", status.CutOff, status.Doubled)
	}
}

// TestPace: a source that is near gets its share, one that is far as much as it
// delivers in some rounds, a slow one little.
func TestPace(t *testing.T) {
	now := time.Unix(0, 0)
	after := func(round time.Duration, bytesPerSecond float64) (p pace) {
		for i := range 100 {
			n := rangeLeast
			if i > 0 {
				n = 64 << 10
			}
			took := time.Duration(float64(n) / bytesPerSecond * float64(time.Second))
			p.heard(n, now.Add(-round), now.Add(took))
			now = now.Add(took)
		}
		return p
	}
	if p := (pace{}); p.known() || p.length(Near, 0) != rangeLeast {
		t.Errorf("at first %d bytes are asked for", p.length(Near, 0))
	}
	near := after(200*time.Microsecond, 100e6)
	if near.window() > Near || near.most(Near) != Near || near.length(Near, 0) != Near/2 || near.length(Near/3, 2) < Near/3 {
		t.Errorf("near: window %d, most %d, length %d and %d", near.window(), near.most(Near), near.length(Near, 0), near.length(Near/3, 2))
	}
	far := after(50*time.Millisecond, 50e6)
	if far.window() != Far || far.length(Near, 0) != tree.Chunk {
		t.Errorf("far: window %d, length %d", far.window(), far.length(Near, 0))
	}
	slow := after(time.Millisecond, 40e3)
	if slow.most(Near) > 25e3 || slow.length(Near, 0) != rangeLeast {
		t.Errorf("slow: most %d, length %d", slow.most(Near), slow.length(Near, 0))
	}
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/internal/tree"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// lyingShelf gives trees as they are and chunks with a bit turned.
type lyingShelf struct {
	*content.Shelf
	asked atomic.Int64
}

func (l *lyingShelf) Read(ctx context.Context, h expert.Digest, offset int64, p []byte) (int, error) {
	l.asked.Add(1)
	n, err := l.Shelf.Read(ctx, h, offset, p)
	if n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}

// onLoopback starts a node with real libp2p.
func onLoopback(t *testing.T, cfg swarm.Config) *swarm.Node {
	t.Helper()
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := swarm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-end; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("a node does not become ready")
	}
	return n
}

func opener(n *swarm.Node) func(context.Context, routing.Peer) (Stream, error) {
	return func(ctx context.Context, p routing.Peer) (Stream, error) {
		s, err := n.OpenBlobs(ctx, p)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// TestLiarOnLoopback: over real streams a source that turns bits is cut off and
// named after its first chunk, and everything comes from the honest one.
func TestLiarOnLoopback(t *testing.T) {
	b := makeBlobs(t, 3*tree.Chunk+5, 50, 9*tree.Chunk)
	full := openStore(t, t.TempDir())
	seed := config(t, b, full, map[routing.Peer]*peer{"memory": {blobs: b}})
	if _, err := Fetch(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	lies := &lyingShelf{Shelf: content.NewShelf(full)}
	liar := onLoopback(t, swarm.Config{Shelf: lies})
	honest := onLoopback(t, swarm.Config{Shelf: content.NewShelf(full), Join: liar.Addrs()})
	wants := onLoopback(t, swarm.Config{Join: append(liar.Addrs(), honest.Addrs()...)})

	s := openStore(t, t.TempDir())
	cfg := config(t, b, s, nil)
	cfg.Open = opener(wants)
	all := func(expert.Piece) Have { return Yes }
	cfg.Sources = func() []Source {
		known := []Source{{liar.ID(), all}}
		if lies.asked.Load() > 0 { // else the liar might never be asked
			known = append(known, Source{honest.ID(), all})
		}
		return known
	}
	status, err := Fetch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.check(t, s)
	if len(status.CutOff) != 1 || status.CutOff[liar.ID()] == "" {
		t.Errorf("cut off: %v, want the liar %s", status.CutOff, liar.ID())
	}
	if n := lies.asked.Load(); n > 2 { // the next chunk is asked for while one comes
		t.Errorf("the liar was asked for %d chunks", n)
	}
}

// TestResumeOnLoopback: a fetch over real streams that is cut off again and
// again has what it was sent but for one chunk each time.
func TestResumeOnLoopback(t *testing.T) {
	const seed, cuts = 5, 20
	r := rand.New(rand.NewPCG(seed, 0))
	b := makeBlobs(t, 40*tree.Chunk+9, 17*tree.Chunk, 30)
	full := openStore(t, t.TempDir())
	if _, err := Fetch(t.Context(), config(t, b, full, map[routing.Peer]*peer{"memory": {blobs: b}})); err != nil {
		t.Fatal(err)
	}
	one := onLoopback(t, swarm.Config{Shelf: content.NewShelf(full)})
	two := onLoopback(t, swarm.Config{Shelf: content.NewShelf(full), Join: one.Addrs()})
	wants := onLoopback(t, swarm.Config{Join: append(one.Addrs(), two.Addrs()...)})
	dir := t.TempDir()
	doubled := int64(0)
	for n := 0; ; n++ {
		s := openStore(t, dir)
		ctx, cut := context.WithCancelCause(t.Context())
		cfg := config(t, b, s, nil)
		cfg.Limit = swarm.NewRate(200 << 20) // as slow as a network
		cfg.Sources = func() (known []Source) {
			for _, p := range []routing.Peer{one.ID(), two.ID()} {
				known = append(known, Source{p, func(expert.Piece) Have { return Yes }})
			}
			return known
		}
		left := 1 + r.IntN(12)
		cfg.Open = func(ctx context.Context, p routing.Peer) (Stream, error) {
			s, err := wants.OpenBlobs(ctx, p)
			if err != nil {
				return nil, err
			}
			return &cutting{BlobStream: s, after: left, cut: func() { cut(errCut) }, on: n < cuts}, nil
		}
		status, err := Fetch(ctx, cfg)
		doubled += status.Doubled
		s.Close()
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir)
	b.check(t, s)
	sent := one.BlobsSent() + two.BlobsSent()
	trees := int64(cuts+1) * int64(tree.Size(40*tree.Chunk+9)+tree.Size(17*tree.Chunk))
	if most := int64(b.bytes()) + cuts*Near + doubled + trees; sent > most {
		t.Errorf("seed %d: %d bytes were sent for %d, want at most %d", seed, sent, b.bytes(), most)
	}
	t.Logf("%d bytes were sent for %d in %d runs", sent, b.bytes(), cuts+1)
}

var errCut = fmt.Errorf("cut off")

// cutting ends the fetch after some answers.
type cutting struct {
	*swarm.BlobStream
	after int
	cut   func()
	on    bool
}

func (c *cutting) Next(buf []byte) (wire.Blob, error) {
	if c.after--; c.on && c.after < 0 {
		c.cut()
	}
	return c.BlobStream.Next(buf)
}

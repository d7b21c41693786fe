package swarm

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// shelf has one manifest and one blob.
type shelf struct{ manifest, blob []byte }

func (s shelf) Manifest(id expert.ModelID) ([]byte, error) {
	if id != testModel() {
		return nil, expert.ErrUnknownExpert
	}
	return s.manifest, nil
}

func (s shelf) Tree(_ context.Context, h expert.Digest) ([]byte, error) {
	if h != (expert.Digest{1}) {
		return nil, expert.ErrUnknownExpert
	}
	return []byte("a tree"), nil
}

func (s shelf) Read(_ context.Context, h expert.Digest, at int64, p []byte) (int, error) {
	if h != (expert.Digest{1}) || int(at) >= len(s.blob) {
		return 0, expert.ErrUnknownExpert
	}
	return copy(p, s.blob[at:]), nil
}

func TestBlobs(t *testing.T) {
	s := shelf{manifest: bytes.Repeat([]byte("m"), wire.MaxRange+5), blob: bytes.Repeat([]byte("abc"), wire.MaxRange)}
	has := startNode(t, Config{Shelf: s, Offers: []Offer{holds(0)}})
	wants := startNode(t, Config{Join: has.Addrs()})
	wants.await("a server", func() bool { return len(wants.Servers(testModel())) == 1 })
	if got := wants.Servers(testModel()); got[0] != has.ID() {
		t.Fatalf("servers %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, err := wants.OpenBlobs(ctx, has.ID())
	if err != nil {
		t.Fatal(err)
	}
	asks := []wire.Want{
		{Kind: wire.WantManifest, Hash: expert.Digest(testModel()), Length: wire.MaxRange},
		{Kind: wire.WantManifest, Hash: expert.Digest(testModel()), Offset: wire.MaxRange, Length: wire.MaxRange},
		{Kind: wire.WantTree, Hash: expert.Digest{1}},
		{Kind: wire.WantChunk, Hash: expert.Digest{2}, Length: 5},
		{Kind: wire.WantChunk, Hash: expert.Digest{1}, Offset: wire.MaxRange, Length: wire.MaxRange},
		{Kind: wire.WantChunk, Hash: expert.Digest{1}, Offset: 2*wire.MaxRange + 10, Length: 1000},
		{Kind: wire.WantChunk, Hash: expert.Digest{1}, Offset: 2 * wire.MaxRange, Length: 1000},
		{Kind: wire.WantChunk, Hash: expert.Digest{1}, Offset: 2*wire.MaxRange + 5, Length: wire.MaxRange - 5},
		{Kind: wire.WantChunk, Hash: expert.Digest{1}, Offset: 2 * wire.MaxRange, Length: wire.MaxRange},
	}
	for _, a := range asks {
		if err := b.Ask(a); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range [][]byte{s.manifest[:wire.MaxRange], s.manifest[wire.MaxRange:], []byte("a tree"), nil, s.blob[wire.MaxRange : 2*wire.MaxRange],
		s.blob[2*wire.MaxRange+10:][:1000], s.blob[2*wire.MaxRange:][:1000], s.blob[2*wire.MaxRange+5:], s.blob[2*wire.MaxRange:]} {
		x, err := b.Next(nil)
		var refused *wire.Refused
		if want == nil {
			if !errors.As(err, &refused) || !errors.Is(err, expert.ErrUnknownExpert) {
				t.Errorf("%d: %v", i, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(x.Data, want) {
			t.Fatalf("%d: %d bytes, %v", i, len(x.Data), err)
		}
	}
	if got := has.BlobsSent(); got != int64(4*wire.MaxRange+6+2*1000) {
		t.Errorf("%d bytes sent", got)
	}

	// Streams past the bound are refused, and the others go on.
	second, err := wants.OpenBlobs(ctx, has.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Ask(asks[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Next(nil); err != nil {
		t.Fatal(err)
	}
	third, err := wants.OpenBlobs(ctx, has.ID())
	if err == nil {
		_ = third.Ask(asks[2])
		_, err = third.Next(nil)
	}
	if !errors.Is(err, expert.ErrOverloaded) && !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("the third stream: %v", err)
	}
	b.Close()
	second.Close()
	if _, err := wants.OpenBlobs(ctx, wants.ID()); err == nil {
		t.Error("a stream to itself")
	}
}

// TestBlobRate: what goes out is held to the limit.
func TestBlobRate(t *testing.T) {
	l := NewRate(1 << 20)
	now := time.Now()
	if !l.AllowN(now, wire.MaxRange) || l.AllowN(now, 1) {
		t.Error("more than one answer at once")
	}
	if d := l.ReserveN(now, wire.MaxRange).DelayFrom(now); d < 240*time.Millisecond || d > 260*time.Millisecond {
		t.Errorf("a chunk of 256 KiB at 1 MiB/s waits %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := takeBytes(ctx, NewRate(0), 1<<30); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHostileWants: a stream that breaks the protocol ends, and the node goes on.
func TestHostileWants(t *testing.T) {
	has := startNode(t, Config{Shelf: shelf{manifest: []byte("m")}, Offers: []Offer{holds(0)}})
	x := newStranger(t)
	x.connect(has)
	for name, b := range map[string][]byte{
		"noise":         []byte("GET / HTTP/1.1\r\n\r\n............"),
		"another kind":  wire.AppendPing(nil, 1, nil),
		"a long length": {0xff, 0xff, 0xff, 0x7f, 1, 48, 0, 0, 0, 0, 0, 0, 0, 0},
		"a bad want":    wire.AppendWant(nil, 1, wire.Want{Kind: 9}),
	} {
		s := x.open(has, blobProtocol)
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s is answered", name)
		}
	}
	s := x.open(has, blobProtocol)
	if _, err := s.Write(wire.AppendWant(nil, 7, wire.Want{Hash: expert.Digest(testModel()), Length: 1})); err != nil {
		t.Fatal(err)
	}
	if h, err := wire.NewReader(s).Next(); err != nil || h.Kind != wire.KindBlob || h.ID != 7 {
		t.Errorf("afterwards: %+v, %v", h, err)
	}
}

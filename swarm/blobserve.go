package swarm

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm/wire"
)

// blobProtocol carries want frames one way and blob and refusal frames the
// other, in the same order.
const blobProtocol protocol.ID = "/moeswarm/blob/1"

const (
	// blobStreams bounds the streams served at once: each has a chunk in
	// memory, and more askers than that do better to wait than to share.
	blobStreams = 64
	// blobPeerStreams bounds those of one peer. A fetcher needs one, and
	// another while the system has not noticed that the first is dead.
	blobPeerStreams = 2
	// blobIdle closes a stream on which nothing is wanted for so long.
	blobIdle = 2 * time.Minute
	// blobWrite bounds the writing of one answer: a tree of 8 MiB at 1 Mbit/s.
	blobWrite = 70 * time.Second
	// blobBusy is the wait that a node full of askers asks for.
	blobBusy = 2 * time.Second
)

// Shelf is what a node can send of models. Errors wrap [expert.ErrUnknownExpert]
// when something is not here. Its methods are called by several goroutines.
type Shelf interface {
	// Manifest is the canonical manifest of a model.
	Manifest(expert.ModelID) ([]byte, error)
	// Tree is the tree of a blob; package tree has its form.
	Tree(context.Context, expert.Digest) ([]byte, error)
	// Read fills p with the blob's bytes from a multiple of 256 KiB on: one
	// chunk, whole. It must check them against the tree: what is damaged is
	// not here.
	Read(ctx context.Context, h expert.Digest, offset int64, p []byte) error
}

// blobServer sends parts of models to peers. Each stream has one goroutine,
// which takes a want and writes its answer before it reads the next, so a peer
// that does not read is asked nothing more of.
type blobServer struct {
	host  host.Host
	log   *slog.Logger
	shelf Shelf
	limit *rate.Limiter // bytes

	serving sync.WaitGroup
	sent    atomic.Int64

	mu struct {
		sync.Mutex
		ctx   context.Context // of the streams; nil: not running
		peers map[routing.Peer]int
		all   int
	}
}

func newBlobServer(h host.Host, log *slog.Logger, shelf Shelf, bytesPerSecond int64) *blobServer {
	s := &blobServer{host: h, log: log, shelf: shelf, limit: NewRate(bytesPerSecond)}
	s.mu.peers = make(map[routing.Peer]int)
	return s
}

// NewRate makes a limit of bytes a second that lets one answer through at once;
// 0 is no limit.
func NewRate(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), wire.MaxRange)
}

// takeBytes waits until n bytes may pass.
func takeBytes(ctx context.Context, l *rate.Limiter, n int) error {
	for n > 0 && l.Limit() != rate.Inf {
		part := min(n, l.Burst())
		if err := l.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return ctx.Err()
}

// run serves until ctx ends. Run it once.
func (s *blobServer) run(ctx context.Context) error {
	s.mu.Lock()
	s.mu.ctx = ctx
	s.mu.Unlock()
	s.host.SetStreamHandler(blobProtocol, s.handle)
	<-ctx.Done()
	s.host.RemoveStreamHandler(blobProtocol)
	s.mu.Lock()
	s.mu.ctx = nil
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}

// admit takes in a stream of a peer; nil: there is no room.
func (s *blobServer) admit(p routing.Peer) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.ctx == nil || s.mu.all >= blobStreams || s.mu.peers[p] >= blobPeerStreams {
		return nil
	}
	s.mu.all++
	s.mu.peers[p]++
	s.serving.Add(1)
	return s.mu.ctx
}

func (s *blobServer) part(p routing.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.all--
	if s.mu.peers[p]--; s.mu.peers[p] == 0 {
		delete(s.mu.peers, p)
	}
	s.serving.Done()
}

// handle serves one stream; libp2p calls it in a goroutine of its own.
func (s *blobServer) handle(stream network.Stream) {
	peer := routingPeer(stream.Conn().RemotePeer())
	ctx := s.admit(peer)
	if ctx == nil {
		_ = stream.SetDeadline(time.Now().Add(blobWrite))
		_, _ = stream.Write(wire.AppendRefusal(nil, 0, wire.Refusal{Code: wire.CodeOverloaded, Wait: blobBusy, Expert: wire.NoExpert}))
		_ = stream.Close()
		return
	}
	defer s.part(peer)
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	err := s.serve(ctx, stream)
	if errors.Is(err, io.EOF) {
		_ = stream.Close()
	} else {
		_ = stream.Reset()
	}
	s.log.Debug("blob stream ended", "peer", peer, "why", err)
}

// serve answers wants until the stream ends.
func (s *blobServer) serve(ctx context.Context, stream network.Stream) error {
	frames := wire.NewReader(stream)
	var body, out []byte
	chunk := make([]byte, wire.MaxRange)
	for {
		_ = stream.SetReadDeadline(time.Now().Add(blobIdle))
		h, err := frames.Next()
		if errors.Is(err, wire.ErrKind) {
			continue // of a newer version
		}
		if err != nil {
			return err
		}
		if h.Kind != wire.KindWant {
			return wire.ErrFormat
		}
		if body, err = frames.Body(body); err != nil {
			return err
		}
		want, err := wire.ParseWant(body)
		if err != nil {
			return err
		}
		blob, err := s.answer(ctx, want, chunk)
		if err != nil {
			code := wire.ExpertCode(err)
			out = wire.AppendRefusal(out[:0], h.ID, wire.Refusal{Code: code, Expert: wire.NoExpert})
		} else {
			out = wire.AppendBlob(out[:0], h.ID, blob)
			s.sent.Add(int64(len(blob.Data)))
		}
		if err := takeBytes(ctx, s.limit, len(out)); err != nil {
			return err
		}
		_ = stream.SetWriteDeadline(time.Now().Add(blobWrite))
		if _, err := stream.Write(out); err != nil {
			return err
		}
	}
}

// answer looks up what is wanted; buf has room for a chunk.
func (s *blobServer) answer(ctx context.Context, w wire.Want, buf []byte) (wire.Blob, error) {
	switch w.Kind {
	case wire.WantManifest:
		m, err := s.shelf.Manifest(expert.ModelID(w.Hash))
		if err != nil {
			return wire.Blob{}, err
		}
		if w.Offset >= int64(len(m)) {
			return wire.Blob{}, expert.ErrBadCall
		}
		return wire.Blob{Size: int64(len(m)), Data: m[w.Offset:min(w.Offset+int64(w.Length), int64(len(m)))]}, nil
	case wire.WantTree:
		t, err := s.shelf.Tree(ctx, w.Hash)
		if err == nil && len(t) > wire.MaxTree {
			err = expert.ErrBadCall
		}
		return wire.Blob{Size: int64(len(t)), Data: t}, err
	}
	err := s.shelf.Read(ctx, w.Hash, w.Offset, buf[:w.Length])
	return wire.Blob{Size: w.Offset + int64(w.Length), Data: buf[:w.Length]}, err
}

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
	// Read reads one chunk of a blob into p, which has room for a whole one:
	// its bytes from offset on, a multiple of 256 KiB. It must check them against
	// the tree: what is damaged is not here.
	Read(ctx context.Context, h expert.Digest, offset int64, p []byte) (n int, err error)
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
	answers := blobAnswers{shelf: s.shelf, chunk: make([]byte, wire.BlobHeader+wire.MaxRange)}
	var body []byte
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
		frame, bytes := answers.to(ctx, h.ID, want)
		s.sent.Add(int64(bytes))
		if err := takeBytes(ctx, s.limit, len(frame)); err != nil {
			return err
		}
		_ = stream.SetWriteDeadline(time.Now().Add(blobWrite))
		if _, err := stream.Write(frame); err != nil {
			return err
		}
	}
}

// blobAnswers makes the answers of one stream.
type blobAnswers struct {
	shelf Shelf
	out   []byte // a frame that is no range of a chunk

	// The chunk that was asked for last is kept: wants ask for ranges of it one
	// after another, and it is read and checked once.
	chunk []byte // room for a frame's header, then the chunk
	hash  expert.Digest
	at    int64                 // where in the blob it begins
	n     int                   // its length; 0: none is there
	from  int                   // where in the chunk a header lies
	under [wire.BlobHeader]byte // what it lies over
}

// to is the frame that answers a want, and how much of it is content. It is
// valid until the next call.
func (a *blobAnswers) to(ctx context.Context, id uint64, w wire.Want) (frame []byte, bytes int) {
	var blob wire.Blob
	var err error
	if w.Kind == wire.WantChunk {
		if err = a.load(ctx, w); err == nil {
			return a.slice(id, w), w.Length
		}
	} else {
		blob, err = a.look(ctx, w)
	}
	if err != nil {
		a.out = wire.AppendRefusal(a.out[:0], id, wire.Refusal{Code: wire.ExpertCode(err), Expert: wire.NoExpert})
		return a.out, 0
	}
	a.out = wire.AppendBlob(a.out[:0], id, blob)
	return a.out, len(blob.Data)
}

// look looks up a manifest or a tree.
func (a *blobAnswers) look(ctx context.Context, w wire.Want) (wire.Blob, error) {
	if w.Kind == wire.WantTree {
		t, err := a.shelf.Tree(ctx, w.Hash)
		if err == nil && len(t) > wire.MaxTree {
			err = expert.ErrBadCall
		}
		return wire.Blob{Size: int64(len(t)), Data: t}, err
	}
	m, err := a.shelf.Manifest(expert.ModelID(w.Hash))
	if err != nil {
		return wire.Blob{}, err
	}
	if w.Offset >= int64(len(m)) {
		return wire.Blob{}, expert.ErrBadCall
	}
	return wire.Blob{Size: int64(len(m)), Data: m[w.Offset:min(w.Offset+int64(w.Length), int64(len(m)))]}, nil
}

// load reads the chunk that a want lies in, if it is not there.
func (a *blobAnswers) load(ctx context.Context, w wire.Want) error {
	at := w.Offset - w.Offset%wire.MaxRange
	if a.n == 0 || a.hash != w.Hash || a.at != at {
		a.n = 0
		n, err := a.shelf.Read(ctx, w.Hash, at, a.chunk[wire.BlobHeader:])
		if err != nil {
			return err
		}
		a.hash, a.at, a.n, a.from = w.Hash, at, n, 0
	} else {
		copy(a.chunk[a.from:], a.under[:])
	}
	a.from = int(w.Offset - at)
	a.under = [wire.BlobHeader]byte(a.chunk[a.from:])
	if a.from+w.Length > a.n {
		return expert.ErrBadCall
	}
	return nil
}

// slice is the frame with a range of the chunk. Its header lies over the bytes
// before the range, until the next want, so that none is copied.
func (a *blobAnswers) slice(id uint64, w wire.Want) []byte {
	frame := a.chunk[a.from : a.from+wire.BlobHeader+w.Length]
	wire.PutBlobHeader(frame, id, w.Offset+int64(w.Length), w.Length)
	return frame
}

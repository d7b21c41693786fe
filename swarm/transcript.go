package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// transcriptProtocol carries one request about an answer and one reply. A
// request is two bytes of length, little-endian, and so many bytes; a reply is
// one byte, 0 for what was asked and 1 for a word why not, four bytes of length,
// and so many bytes. The connection says who asks: transcripts hold what people
// wrote, and are for those alone whom the ledger drew to check them.
const transcriptProtocol protocol.ID = "/moeswarm/transcript/1"

const (
	// MaxTranscriptAsk bounds a request, and a word why not.
	MaxTranscriptAsk = 1024
	// MaxTranscript bounds a reply: an answer of a hundred thousand tokens of a
	// model with 48 layers of 8 experts.
	MaxTranscript = 128 << 20
	// transcriptStreams bounds the requests served at once, transcriptPeer those
	// of one peer.
	transcriptStreams, transcriptPeer = 16, 2
	// transcriptTime bounds one request: 128 MiB at a megabyte a second.
	transcriptTime = 2 * time.Minute
)

// Transcripts replies to requests about answers. What an error says goes to the
// peer. It is called by several goroutines.
type Transcripts interface {
	Reply(ctx context.Context, from routing.Peer, request []byte) ([]byte, error)
}

// ErrNotShown: a peer was reached and did not do what it was asked.
var ErrNotShown = errors.New("the peer does not show the answer")

// transcriptServer serves requests about answers, a stream each.
type transcriptServer struct {
	host    host.Host
	log     *slog.Logger
	replies Transcripts
	running atomic.Int32

	mu    sync.Mutex
	peers map[routing.Peer]int
}

func newTranscriptServer(h host.Host, log *slog.Logger, replies Transcripts) *transcriptServer {
	return &transcriptServer{host: h, log: log, replies: replies, peers: map[routing.Peer]int{}}
}

// run serves until ctx ends. Run it once.
func (s *transcriptServer) run(ctx context.Context) error {
	var all sync.WaitGroup
	s.host.SetStreamHandler(transcriptProtocol, func(st network.Stream) {
		peer := routingPeer(st.Conn().RemotePeer())
		if ctx.Err() != nil || !s.admit(peer) {
			_ = st.Reset()
			return
		}
		all.Add(1)
		defer all.Done()
		defer s.part(peer)
		_ = st.SetDeadline(time.Now().Add(transcriptTime))
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := s.serve(ctx, peer, st); err != nil {
			s.log.Debug("a request about an answer broke off", "peer", peer, "err", err)
			_ = st.Reset()
			return
		}
		_ = st.Close()
	})
	<-ctx.Done()
	s.host.RemoveStreamHandler(transcriptProtocol)
	all.Wait()
	return nil
}

func (s *transcriptServer) admit(p routing.Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running.Load() >= transcriptStreams || s.peers[p] >= transcriptPeer {
		return false
	}
	s.running.Add(1)
	s.peers[p]++
	return true
}

func (s *transcriptServer) part(p routing.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running.Add(-1)
	if s.peers[p]--; s.peers[p] == 0 {
		delete(s.peers, p)
	}
}

func (s *transcriptServer) serve(ctx context.Context, from routing.Peer, st io.ReadWriter) error {
	request, err := readTranscriptAsk(st)
	if err != nil {
		return err
	}
	reply, err := s.replies.Reply(ctx, from, request)
	refused := byte(0)
	if err != nil || len(reply) > MaxTranscript {
		refused, reply = 1, []byte("too long")
		if err != nil {
			reply = []byte(err.Error())
		}
		reply = reply[:min(len(reply), MaxTranscriptAsk)]
	}
	if _, err := st.Write(binary.LittleEndian.AppendUint32([]byte{refused}, uint32(len(reply)))); err != nil {
		return err
	}
	_, err = st.Write(reply)
	return err
}

// readTranscriptAsk reads a request.
func readTranscriptAsk(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint16(head[:])
	if n > MaxTranscriptAsk {
		return nil, fmt.Errorf("%w: a request of %d bytes", expert.ErrBadCall, n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// AskTranscript asks a peer about an answer. The error wraps ErrNotShown where it
// was reached and refused, expert.ErrUnreachable where it was not.
func (n *Node) AskTranscript(ctx context.Context, to routing.Peer, request []byte) ([]byte, error) {
	l := n.live.Load()
	if l == nil {
		return nil, errNotRunning
	}
	if len(request) > MaxTranscriptAsk {
		return nil, fmt.Errorf("%w: a request of %d bytes", expert.ErrBadCall, len(request))
	}
	id, err := peerID(to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, transcriptTime)
	defer cancel()
	s, err := openStream(ctx, l.host, id, transcriptProtocol)
	if err != nil {
		return nil, fmt.Errorf("%w: asking %s about an answer: %w", expert.ErrUnreachable, to, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	_, err = s.Write(append(binary.LittleEndian.AppendUint16(nil, uint16(len(request))), request...))
	if err == nil {
		var b []byte
		if b, err = readTranscriptReply(s); err == nil {
			_ = s.Close()
			return b, nil
		}
	}
	_ = s.Reset()
	return nil, fmt.Errorf("asking %s about an answer: %w", to, err)
}

// readTranscriptReply reads a reply.
func readTranscriptReply(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	n := int64(binary.LittleEndian.Uint32(head[1:]))
	if head[0] > 1 || n > MaxTranscript || head[0] == 1 && n > MaxTranscriptAsk {
		return nil, fmt.Errorf("%w: a reply of kind %d with %d bytes", ErrNotShown, head[0], n)
	}
	// What arrives takes memory, not what is promised.
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(b)) < n {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	case head[0] == 1:
		return nil, fmt.Errorf("%w: it says %q", ErrNotShown, b)
	}
	return b, nil
}

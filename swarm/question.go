package swarm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// questions serves a protocol of one question and one answer to a stream.
type questions struct {
	host     host.Host
	log      *slog.Logger
	protocol protocol.ID
	most     int           // streams at once
	ofPeer   int           // of these, of one peer, so that none keeps the others out
	limit    time.Duration // of a stream
	admit    func(peer.ID) bool
	answer   func(ctx context.Context, from peer.ID, st io.ReadWriter) error

	mu      sync.Mutex
	running int
	peers   map[peer.ID]int
}

// start serves until the function it returns is called. Streams end with ctx.
func (q *questions) start(ctx context.Context) (stop func()) {
	var all sync.WaitGroup
	q.host.SetStreamHandler(q.protocol, func(st network.Stream) {
		from := st.Conn().RemotePeer()
		if ctx.Err() != nil || !q.enter(from) {
			_ = st.ResetWithError(network.StreamRateLimited)
			return
		}
		all.Add(1)
		defer all.Done()
		defer q.leave(from)
		_ = st.SetDeadline(time.Now().Add(q.limit))
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := q.answer(ctx, from, st); err != nil {
			q.log.Debug("a question is not answered", "protocol", q.protocol, "peer", from, "err", err)
			_ = st.ResetWithError(network.StreamProtocolViolation)
			return
		}
		_ = st.Close()
	})
	return func() {
		q.host.RemoveStreamHandler(q.protocol)
		all.Wait()
	}
}

func (q *questions) enter(p peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running >= q.most || q.peers[p] >= q.ofPeer || q.admit != nil && !q.admit(p) {
		return false
	}
	if q.peers == nil {
		q.peers = map[peer.ID]int{}
	}
	q.running++
	q.peers[p]++
	return true
}

func (q *questions) leave(p peer.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if q.peers[p]--; q.peers[p] == 0 {
		delete(q.peers, p)
	}
}

// question is one to a peer: what it is called in errors, the protocol, the time
// it may take, and how a stream to the peer is opened.
type question struct {
	name     string
	protocol protocol.ID
	limit    time.Duration
	open     func(context.Context, host.Host, peer.ID, protocol.ID) (network.Stream, error)
}

// ask puts a question. The error wraps expert.ErrUnreachable where the peer was not
// reached, and else what talk says.
func (n *Node) ask(ctx context.Context, to routing.Peer, q question, talk func(io.ReadWriter) ([]byte, error)) ([]byte, error) {
	h, id, err := n.wayTo(to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.limit)
	defer cancel()
	s, err := q.open(ctx, h, id, q.protocol)
	if err != nil {
		return nil, fmt.Errorf("%w: %s from %s: %w", expert.ErrUnreachable, q.name, to, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	b, err := talk(s)
	if err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("%s from %s: %w", q.name, to, err)
	}
	_ = s.Close()
	return b, nil
}

// wayTo gives what a stream to a peer is opened with, while this node runs.
func (n *Node) wayTo(to routing.Peer) (host.Host, peer.ID, error) {
	l := n.live.Load()
	if l == nil {
		return nil, "", errNotRunning
	}
	id, err := peerID(to)
	return l.host, id, err
}

// openKnown opens a stream to a peer that is connected, and dials none.
func openKnown(ctx context.Context, h host.Host, p peer.ID, id protocol.ID) (network.Stream, error) {
	return h.NewStream(network.WithAllowLimitedConn(network.WithNoDial(ctx, string(id)), string(id)), p, id)
}

// readAll reads n bytes. What arrives takes memory, not what is promised.
func readAll(r io.Reader, n uint32) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return b, nil
}

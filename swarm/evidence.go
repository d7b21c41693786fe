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

// evidenceProtocol carries one request, a hash of 32 bytes, and one answer: a
// length of four bytes, little-endian, and so many bytes; a length of 0: it is
// not here.
const evidenceProtocol protocol.ID = "/moeswarm/evidence/1"

const (
	// MaxEvidence bounds one piece of evidence: a few rows in and out of the
	// widest model with their proofs, or the record of a long answer.
	MaxEvidence = 1 << 20
	// evidenceStreams bounds the requests served at once: a jury and an appeal's
	// at the same time.
	evidenceStreams = 32
	// evidenceTime bounds one request: a piece at 16 KB/s.
	evidenceTime = 70 * time.Second
)

// Evidence is what a node keeps for juries, by the hash of its bytes. It is
// called by several goroutines; nil: it is not here.
type Evidence interface{ Get(hash [32]byte) []byte }

// proofServer gives evidence to whoever knows its hash.
type proofServer struct {
	host     host.Host
	log      *slog.Logger
	evidence Evidence
	running  atomic.Int32
}

// start serves until the function it returns is called.
func (s *proofServer) start(ctx context.Context) (stop func()) {
	var all sync.WaitGroup
	s.host.SetStreamHandler(evidenceProtocol, func(st network.Stream) {
		if s.running.Add(1) > evidenceStreams || ctx.Err() != nil {
			s.running.Add(-1)
			_ = st.Reset()
			return
		}
		all.Add(1)
		defer func() { s.running.Add(-1); all.Done() }()
		_ = st.SetDeadline(time.Now().Add(evidenceTime))
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := s.serve(st); err != nil {
			s.log.Debug("evidence not given", "peer", st.Conn().RemotePeer(), "err", err)
			_ = st.Reset()
			return
		}
		_ = st.Close()
	})
	return func() {
		s.host.RemoveStreamHandler(evidenceProtocol)
		all.Wait()
	}
}

func (s *proofServer) serve(st io.ReadWriter) error {
	var hash [32]byte
	if _, err := io.ReadFull(st, hash[:]); err != nil {
		return err
	}
	b := s.evidence.Get(hash)
	if len(b) > MaxEvidence {
		b = nil
	}
	_, err := st.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// FetchEvidence asks a peer for a piece of evidence. The caller checks it against
// its hash. An error wraps expert.ErrUnreachable, or ErrUnknownExpert where the
// peer does not have it.
func (n *Node) FetchEvidence(ctx context.Context, from routing.Peer, hash [32]byte) ([]byte, error) {
	l := n.live.Load()
	if l == nil {
		return nil, errNotRunning
	}
	id, err := peerID(from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	s, err := openStream(ctx, l.host, id, evidenceProtocol)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence from %s: %w", expert.ErrUnreachable, from, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	b, err := askEvidence(s, hash)
	if err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("evidence from %s: %w", from, err)
	}
	_ = s.Close()
	return b, nil
}

// errNoEvidence: the peer has no such evidence.
var errNoEvidence = fmt.Errorf("%w: it is not there", expert.ErrUnknownExpert)

func askEvidence(s io.ReadWriter, hash [32]byte) ([]byte, error) {
	if _, err := s.Write(hash[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	var head [4]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	switch n := binary.LittleEndian.Uint32(head[:]); {
	case n == 0:
		return nil, errNoEvidence
	case n > MaxEvidence:
		return nil, errors.Join(expert.ErrBadResult, fmt.Errorf("%d bytes of evidence, at most %d allowed", n, MaxEvidence))
	default:
		// What arrives takes memory, not what is promised.
		b, err := io.ReadAll(io.LimitReader(s, int64(n)))
		if err == nil && len(b) < int(n) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
		}
		return b, nil
	}
}

package swarm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
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
	// at the same time. evidencePeer are those of one peer, so that none keeps
	// evidence from a jury by asking for it slowly.
	evidenceStreams, evidencePeer = 32, 4
	// evidenceTime bounds one request: a piece at 16 KB/s.
	evidenceTime = 70 * time.Second
)

// Evidence is what a node keeps for juries, by the hash of its bytes. It is
// called by several goroutines; nil: it is not here.
type Evidence interface{ Get(hash [32]byte) []byte }

// newProofs gives evidence to whoever knows its hash.
func newProofs(h host.Host, log *slog.Logger, e Evidence) *questions {
	return &questions{
		host: h, log: log, protocol: evidenceProtocol, most: evidenceStreams, ofPeer: evidencePeer, limit: evidenceTime,
		answer: func(_ context.Context, _ peer.ID, st io.ReadWriter) error {
			var hash [32]byte
			if _, err := io.ReadFull(st, hash[:]); err != nil {
				return err
			}
			b := e.Get(hash)
			if len(b) > MaxEvidence {
				b = nil
			}
			return writeSized(st, b)
		},
	}
}

// FetchEvidence asks a peer for a piece of evidence. The caller checks it against
// its hash. An error wraps expert.ErrUnreachable, or ErrUnknownExpert where the
// peer does not have it.
func (n *Node) FetchEvidence(ctx context.Context, from routing.Peer, hash [32]byte) ([]byte, error) {
	return n.ask(ctx, from, question{"evidence", evidenceProtocol, evidenceTime, openStream}, func(s io.ReadWriter) ([]byte, error) { return askEvidence(s, hash) })
}

// errNoEvidence: the peer has no such evidence.
var errNoEvidence = fmt.Errorf("%w: it is not there", expert.ErrUnknownExpert)

func askEvidence(s io.ReadWriter, hash [32]byte) ([]byte, error) {
	if _, err := s.Write(hash[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	b, err := readSized(s, MaxEvidence)
	if err == nil && len(b) == 0 {
		err = errNoEvidence
	}
	return b, err
}

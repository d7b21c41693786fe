package swarm

import (
	"context"
	"encoding/binary"
	"errors"
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

// creditProtocol carries one question, what the asker knows of who did how much,
// and one answer, what it lacks. Each is a length of four bytes, little-endian,
// and so many bytes. Nobody is sent anything that he did not ask for.
const creditProtocol protocol.ID = "/moeswarm/credit/1"

const (
	// MaxCreditAsk and MaxCredit bound question and answer.
	MaxCreditAsk = 40 << 10
	MaxCredit    = 256 << 10
	// creditStreams bounds the questions answered at once, creditPeer those of one
	// peer.
	creditStreams, creditPeer = 16, 4
	// creditTime bounds one question: an answer at 16 KB/s.
	creditTime = 20 * time.Second
)

// creditPace is how often a peer may ask. Who is new in a swarm that is old asks
// some times to have it all.
func creditPace() pace { return pace{perSecond: 0.5, burst: 16} }

// Credit answers what a peer lacks of who did how much. It is called by several
// goroutines; an error says that the question is none.
type Credit interface {
	Lacking(question []byte) ([]byte, error)
}

// newCredit answers peers.
func newCredit(h host.Host, log *slog.Logger, c Credit) *questions {
	meters := newMeters[peer.ID](creditPace())
	return &questions{
		host: h, log: log, protocol: creditProtocol, most: creditStreams, ofPeer: creditPeer, limit: creditTime,
		admit: func(p peer.ID) bool { return meters.allow(p, time.Now()) },
		answer: func(_ context.Context, _ peer.ID, st io.ReadWriter) error {
			question, err := readSized(st, MaxCreditAsk)
			if err != nil {
				return err
			}
			answer, err := c.Lacking(question)
			if err != nil {
				return err
			}
			if len(answer) > MaxCredit {
				return fmt.Errorf("an answer of %d bytes, at most %d allowed", len(answer), MaxCredit)
			}
			return writeSized(st, answer)
		},
	}
}

// AskCredit asks a peer for what this node lacks of who did how much. The caller
// verifies the answer. An error wraps expert.ErrUnreachable where there was none.
func (n *Node) AskCredit(ctx context.Context, from routing.Peer, ask []byte) ([]byte, error) {
	return n.ask(ctx, from, question{"credit", creditProtocol, creditTime, openKnown}, func(s io.ReadWriter) ([]byte, error) { return askSized(s, ask) })
}

func askSized(s io.ReadWriter, question []byte) ([]byte, error) {
	if err := writeSized(s, question); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return readSized(s, MaxCredit)
}

func writeSized(w io.Writer, b []byte) error {
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readSized reads a length and so many bytes, at most as many as are allowed.
func readSized(r io.Reader, most uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > most {
		return nil, errors.Join(expert.ErrBadResult, fmt.Errorf("%d bytes, at most %d allowed", n, most))
	}
	return readAll(r, n)
}

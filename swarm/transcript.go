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

// newTranscripts replies to requests about answers.
func newTranscripts(h host.Host, log *slog.Logger, replies Transcripts) *questions {
	return &questions{
		host: h, log: log, protocol: transcriptProtocol, most: transcriptStreams, ofPeer: transcriptPeer, limit: transcriptTime,
		answer: func(ctx context.Context, from peer.ID, st io.ReadWriter) error {
			request, err := readTranscriptAsk(st)
			if err != nil {
				return err
			}
			reply, err := replies.Reply(ctx, routingPeer(from), request)
			return writeTranscriptReply(st, reply, err)
		},
	}
}

func writeTranscriptReply(w io.Writer, reply []byte, err error) error {
	refused := byte(0)
	if err == nil && len(reply) > MaxTranscript {
		err = errors.New("too long")
	}
	if err != nil {
		refused, reply = 1, []byte(err.Error())
		reply = reply[:min(len(reply), MaxTranscriptAsk)]
	}
	if _, err := w.Write([]byte{refused}); err != nil {
		return err
	}
	return writeSized(w, reply)
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
	if len(request) > MaxTranscriptAsk {
		return nil, fmt.Errorf("%w: a request of %d bytes", expert.ErrBadCall, len(request))
	}
	return n.ask(ctx, to, question{"an answer's transcript", transcriptProtocol, transcriptTime, openStream}, func(s io.ReadWriter) ([]byte, error) {
		if _, err := s.Write(append(binary.LittleEndian.AppendUint16(nil, uint16(len(request))), request...)); err != nil {
			return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
		}
		return readTranscriptReply(s)
	})
}

// readTranscriptReply reads a reply.
func readTranscriptReply(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if head[0] > 1 || n > MaxTranscript || head[0] == 1 && n > MaxTranscriptAsk {
		return nil, fmt.Errorf("%w: a reply of kind %d with %d bytes", ErrNotShown, head[0], n)
	}
	b, err := readAll(r, n)
	if err == nil && head[0] == 1 {
		return nil, fmt.Errorf("%w: it says %q", ErrNotShown, b)
	}
	return b, err
}

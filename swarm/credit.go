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
	// creditStreams bounds the questions answered at once.
	creditStreams = 16
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

// creditServer answers peers.
type creditServer struct {
	host    host.Host
	log     *slog.Logger
	credit  Credit
	now     func() time.Time
	meters  *meters[peer.ID]
	running atomic.Int32
}

func newCreditServer(h host.Host, log *slog.Logger, c Credit) *creditServer {
	return &creditServer{host: h, log: log, credit: c, now: time.Now, meters: newMeters[peer.ID](creditPace())}
}

// start serves until the function it returns is called.
func (s *creditServer) start(ctx context.Context) (stop func()) {
	var all sync.WaitGroup
	s.host.SetStreamHandler(creditProtocol, func(st network.Stream) {
		if s.running.Add(1) > creditStreams || ctx.Err() != nil || !s.meters.allow(st.Conn().RemotePeer(), s.now()) {
			s.running.Add(-1)
			_ = st.ResetWithError(network.StreamRateLimited)
			return
		}
		all.Add(1)
		defer func() { s.running.Add(-1); all.Done() }()
		_ = st.SetDeadline(time.Now().Add(creditTime))
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := s.serve(st); err != nil {
			s.log.Debug("a question of credit is refused", "peer", st.Conn().RemotePeer(), "err", err)
			_ = st.ResetWithError(network.StreamProtocolViolation)
			return
		}
		_ = st.Close()
	})
	return func() {
		s.host.RemoveStreamHandler(creditProtocol)
		all.Wait()
	}
}

func (s *creditServer) serve(st io.ReadWriter) error {
	question, err := readSized(st, MaxCreditAsk)
	if err != nil {
		return err
	}
	answer, err := s.credit.Lacking(question)
	if err != nil {
		return err
	}
	if len(answer) > MaxCredit {
		return fmt.Errorf("an answer of %d bytes, at most %d allowed", len(answer), MaxCredit)
	}
	return writeSized(st, answer)
}

// AskCredit asks a peer for what this node lacks of who did how much. The caller
// verifies the answer. An error wraps expert.ErrUnreachable where there was none.
func (n *Node) AskCredit(ctx context.Context, from routing.Peer, question []byte) ([]byte, error) {
	l := n.live.Load()
	if l == nil {
		return nil, errNotRunning
	}
	id, err := peerID(from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, creditTime)
	defer cancel()
	s, err := l.host.NewStream(network.WithAllowLimitedConn(network.WithNoDial(ctx, "credit"), "credit"), id, creditProtocol)
	if err != nil {
		return nil, fmt.Errorf("%w: credit from %s: %w", expert.ErrUnreachable, from, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	answer, err := askSized(s, question)
	if err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("credit from %s: %w", from, err)
	}
	_ = s.Close()
	return answer, nil
}

func askSized(s io.ReadWriter, question []byte) ([]byte, error) {
	if err := writeSized(s, question); err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return readSized(s, MaxCredit)
}

func writeSized(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
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
	// What arrives takes memory, not what is promised.
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", expert.ErrUnreachable, err)
	}
	return b, nil
}

package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

// helloProtocol carries announcements from one peer to another: frames, then
// the end of the stream. The receiver closes its side when it has taken all
// of them in, so the sender knows that they were read.
const helloProtocol protocol.ID = "/moeswarm/hello/1"

// helloPace is how often a peer may say hello: when it connects, when it
// changes and when it leaves.
func helloPace() pace { return pace{perSecond: 1, burst: 8} }

// greeter sends and receives hellos.
type greeter struct {
	host host.Host
	log  *slog.Logger
	now  func() time.Time
	// heard takes in what a peer announced; helloed is told when a peer's
	// hello is over, even an empty one.
	heard   func(from peer.ID, a wire.Announcement)
	helloed func(from peer.ID)
	meters  *meters[peer.ID]
	busy    busy
}

// open starts to receive hellos; close ends it and waits for those under way.
func (g *greeter) open() {
	g.host.SetStreamHandler(helloProtocol, func(s network.Stream) {
		if !g.busy.begin() {
			_ = s.Reset()
			return
		}
		defer g.busy.end()
		g.receive(s)
	})
}

func (g *greeter) close() {
	g.host.RemoveStreamHandler(helloProtocol)
	g.busy.wait()
}

// greet sends frames to p and waits until p has read them.
func (g *greeter) greet(ctx context.Context, p peer.ID, frames []byte) error {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	s, err := g.host.NewStream(network.WithAllowLimitedConn(network.WithNoDial(ctx, "hello"), "hello"), p, helloProtocol)
	if err != nil {
		return fmt.Errorf("hello to %v: %w", p, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if _, err = s.Write(frames); err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		_, err = io.ReadFull(s, make([]byte, 1)) // nothing comes but the end
		if err == nil {
			err = errors.New("an answer where none is due")
		}
		if errors.Is(err, io.EOF) {
			return s.Close()
		}
	}
	_ = s.Reset()
	return fmt.Errorf("hello to %v: %w", p, err)
}

// receive reads one hello.
func (g *greeter) receive(s network.Stream) {
	from := s.Conn().RemotePeer()
	if !g.meters.allow(from, g.now()) {
		g.log.Debug("a peer says hello too often", "peer", from)
		_ = s.ResetWithError(network.StreamRateLimited)
		return
	}
	_ = s.SetDeadline(g.now().Add(helloTimeout))
	if err := g.read(from, s); err != nil {
		g.log.Debug("a peer's hello is refused", "peer", from, "err", err)
		_ = s.ResetWithError(network.StreamProtocolViolation)
		return
	}
	g.helloed(from)
	_ = s.Close()
}

func (g *greeter) read(from peer.ID, r io.Reader) error {
	frames := wire.NewReader(r)
	var body []byte
	for range maxHelloFrames {
		h, err := frames.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, wire.ErrKind):
			continue // of a newer version; skipped
		case err != nil:
			return err
		case h.Kind != wire.KindAnnouncement:
			return fmt.Errorf("%w: %v in a hello", wire.ErrFormat, h.Kind)
		}
		if body, err = frames.Body(body); err != nil {
			return err
		}
		a, err := wire.ParseAnnouncement(body)
		if err != nil {
			return err
		}
		g.heard(from, a)
	}
	if _, err := frames.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than %d announcements", wire.ErrTooLarge, maxHelloFrames)
	}
	return nil
}

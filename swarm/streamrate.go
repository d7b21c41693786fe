package swarm

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

// rawProtocol carries bytes and nothing else.
const rawProtocol protocol.ID = "/moeswarm/raw/1"

// StreamRate measures what one bare stream between two hosts on this machine
// carries from src, read to its end, into dst, configured as nodes configure
// theirs: the yardstick for the transfer of parts of models. It returns bytes a
// second.
func StreamRate(ctx context.Context, dst io.Writer, src io.Reader) (float64, error) {
	from, err := rawHost()
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := rawHost()
	if err != nil {
		return 0, err
	}
	defer to.Close()
	want := make(chan int64, 1)
	to.SetStreamHandler(rawProtocol, func(s network.Stream) {
		sent, err := copyStream(s, src)
		if want <- sent; err != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
	if err := from.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		return 0, err
	}
	s, err := from.NewStream(ctx, to.ID(), rawProtocol)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	began := time.Now()
	if err := s.CloseWrite(); err != nil { // opens the stream at the other side
		return 0, err
	}
	got, err := copyStream(dst, s)
	if err != nil {
		return 0, err
	}
	if sent := <-want; got != sent {
		return 0, fmt.Errorf("%d bytes came of %d", got, sent)
	}
	return float64(got) / time.Since(began).Seconds(), nil
}

// copyStream copies in the pieces in which parts of models are sent. Neither
// side's shortcuts are taken, so that each byte passes the same way.
func copyStream(dst io.Writer, src io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, wire.MaxRange))
}

func rawHost() (host.Host, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	h, err := newHost(key, &reacher{})
	if err != nil {
		return nil, err
	}
	if err := listen(h, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

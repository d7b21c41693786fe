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
// carries, configured as nodes configure theirs: the yardstick for the transfer
// of parts of models. It returns bytes a second.
func StreamRate(ctx context.Context, bytes int64) (float64, error) {
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
	to.SetStreamHandler(rawProtocol, func(s network.Stream) {
		buf := make([]byte, wire.MaxRange)
		for left := bytes; left > 0; {
			n, err := s.Write(buf[:min(left, int64(len(buf)))])
			if left -= int64(n); err != nil {
				_ = s.Reset()
				return
			}
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
	buf := make([]byte, wire.MaxRange)
	var got int64
	for {
		n, err := s.Read(buf)
		got += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if got != bytes {
		return 0, fmt.Errorf("%d bytes came of %d", got, bytes)
	}
	return float64(got) / time.Since(began).Seconds(), nil
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

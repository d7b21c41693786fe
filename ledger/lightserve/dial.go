package lightserve

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// Dialer opens streams to nodes of the chain from a host that listens nowhere.
type Dialer struct{ host host.Host }

var _ light.Opener = (*Dialer)(nil)

// NewDialer makes a dialer with an identity of its own.
func NewDialer() (*Dialer, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.UserAgent("moeswarm-ledger"))
	if err != nil {
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	return &Dialer{h}, nil
}

// Open opens a stream to a node.
func (d *Dialer) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, fmt.Errorf("address %.100q: %w", addr, err)
	}
	if err := d.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	s, err := d.host.NewStream(ctx, info.ID, light.Protocol)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

// stream is one whose Close ends both directions, also for a reader that waits.
type stream struct{ network.Stream }

// Close ends the stream.
func (s stream) Close() error { return s.Reset() }

// Close ends all streams.
func (d *Dialer) Close() error { return d.host.Close() }

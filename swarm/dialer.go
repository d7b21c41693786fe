package swarm

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// Dialer opens streams of one protocol to nodes that are not of the swarm, as
// the ledger's: they know no swarm key. It listens nowhere, and its identity is
// new and of this run, so that who is asked does not learn which node asks.
type Dialer struct {
	host     host.Host
	protocol protocol.ID
}

// NewDialer makes a dialer for a protocol. Close ends it.
func NewDialer(name string) (*Dialer, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport),
		libp2p.DisableMetrics(), libp2p.UserAgent(agent))
	if err != nil {
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	return &Dialer{h, protocol.ID(name)}, nil
}

// Open opens a stream to the node at a multiaddr with /p2p/ID, whose identity
// is proved. Closing the stream, or the end of ctx while it opens, ends it.
func (d *Dialer) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, fmt.Errorf("%.100q is no address of a node: want a multiaddr that ends in /p2p/ID", addr)
	}
	if err := d.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	s, err := d.host.NewStream(ctx, info.ID, d.protocol)
	if err != nil {
		return nil, err
	}
	return dialed{s}, nil
}

// Close ends the dialer and its streams.
func (d *Dialer) Close() error { return d.host.Close() }

// dialed is a stream whose Close ends both directions, also for a reader that
// waits.
type dialed struct{ network.Stream }

// Close ends the stream.
func (s dialed) Close() error { return s.Reset() }

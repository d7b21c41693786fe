package swarm

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// Outside opens streams to machines that are no part of the swarm, such as those
// of a ledger. It has a host of its own, with a name that is gone with it, which
// listens nowhere: what is said there has nothing to do with this node's peers,
// and a private swarm stays private.
type Outside struct {
	host     host.Host
	protocol protocol.ID
}

// NewOutside makes one for a protocol. Close it.
func NewOutside(name string) (*Outside, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.UserAgent(agent))
	if err != nil {
		return nil, err
	}
	return &Outside{h, protocol.ID(name)}, nil
}

// Open opens a stream to a multiaddr with /p2p/ID at its end.
func (o *Outside) Open(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	a, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return nil, fmt.Errorf("address %.120q: %w", addr, err)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return nil, fmt.Errorf("address %.120q: it must end in /p2p/ID: %w", addr, err)
	}
	if err := o.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	s, err := o.host.NewStream(ctx, info.ID, o.protocol)
	if err != nil {
		return nil, err
	}
	return resetting{s}, nil
}

// Close ends all streams.
func (o *Outside) Close() error { return o.host.Close() }

// resetting is a stream whose Close ends it in both directions.
type resetting struct{ stream }

type stream interface {
	io.ReadWriteCloser
	Reset() error
}

// Close implements io.Closer.
func (r resetting) Close() error { return r.Reset() }

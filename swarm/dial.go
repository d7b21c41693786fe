package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// dialer connects to peers that this node heard of and has a use for, so
// that the connection is there when the first call needs it. A peer that
// cannot be reached is left alone for a while, longer each time.
type dialer struct {
	host host.Host
	dht  *dht.IpfsDHT
	log  *slog.Logger
	now  func() time.Time
	// failed is told of every peer that could not be reached.
	failed func(peer.ID)

	queue chan peer.ID

	mu struct {
		sync.Mutex
		queued map[peer.ID]bool
		resist map[peer.ID]resistance
	}
}

// resistance is how a peer that could not be reached is spared.
type resistance struct {
	wait  time.Duration
	until time.Time
}

func newDialer(h host.Host, d *dht.IpfsDHT, log *slog.Logger, now func() time.Time) *dialer {
	dl := &dialer{host: h, dht: d, log: log, now: now, queue: make(chan peer.ID, dialQueue)}
	dl.mu.queued = make(map[peer.ID]bool)
	dl.mu.resist = make(map[peer.ID]resistance)
	return dl
}

// want asks for a connection to p, some time soon. It does not block. With as
// many connections as are kept in the long run it does nothing: others would
// be closed for it. Calls still connect where they need to.
func (d *dialer) want(p peer.ID) {
	net := d.host.Network()
	if p == d.host.ID() || linked(d.host, p) || len(net.Peers()) >= connsLow {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.queued[p] || d.now().Before(d.mu.resist[p].until) {
		return
	}
	select {
	case d.queue <- p:
		d.mu.queued[p] = true
	default: // we will hear of p again
	}
}

// run dials until ctx ends.
func (d *dialer) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range maxDials {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case p := <-d.queue:
					if err := d.connect(ctx, p); err != nil {
						d.log.Debug("a peer we heard of cannot be reached", "peer", p, "err", err)
					}
					d.mu.Lock()
					delete(d.mu.queued, p)
					d.mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
}

// connect connects to p. Where no address is known, or none of them works any
// more, it asks the hash table.
func (d *dialer) connect(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err := errNoAddress
	if len(d.host.Peerstore().Addrs(p)) > 0 {
		err = d.host.Connect(ctx, peer.AddrInfo{ID: p})
	}
	if err != nil {
		err = d.findAndConnect(ctx, p, err)
	}
	if err != nil {
		d.lost(ctx, p)
		return err
	}
	d.welcome(p)
	return nil
}

var errNoAddress = errors.New("no address is known")

// findAndConnect connects to p at addresses from the hash table, unless they
// are those that failed already, with the error failed.
func (d *dialer) findAndConnect(ctx context.Context, p peer.ID, failed error) error {
	known := d.host.Peerstore().Addrs(p)
	info, err := d.dht.FindPeer(ctx, p)
	if err != nil {
		return fmt.Errorf("connecting to %v: %w", p, failed)
	}
	isKnown := func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(known, a.Equal) }
	if info.Addrs = slices.DeleteFunc(info.Addrs, isKnown); len(info.Addrs) == 0 {
		return fmt.Errorf("connecting to %v: %w", p, failed)
	}
	return d.host.Connect(ctx, info)
}

// lost notes that p could not be reached, unless it was we who gave up.
func (d *dialer) lost(ctx context.Context, p peer.ID) {
	if context.Cause(ctx) == context.Canceled {
		return
	}
	d.mu.Lock()
	if len(d.mu.resist) >= maxDialBackoffs {
		clear(d.mu.resist) // a flood of dead peers; start over
	}
	r := d.mu.resist[p]
	r.wait = min(max(2*r.wait, dialRetryMin), dialRetryMax)
	r.until = d.now().Add(r.wait)
	d.mu.resist[p] = r
	d.mu.Unlock()
	d.failed(p)
}

// welcome ends the sparing of a peer that is connected.
func (d *dialer) welcome(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.resist, p)
}

package swarm

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// Rendezvous lets the nodes of a swarm find each other through a hash table
// that others run: each provides a key made from the swarm's name and looks up
// who else does. The zero Rendezvous is off.
type Rendezvous struct {
	// Name is what the nodes of the swarm agreed on; everybody who knows it can
	// find them. Empty: off.
	Name string
	// Via holds complete multiaddrs of nodes of that hash table. Empty: those
	// through which one enters the public IPFS network's.
	Via []string
}

// Time scales of the rendezvous.
const (
	// meetSoon and meetLate bound the pause between two look-ups: short while
	// this node has no peer, long once it has some. It doubles in between.
	meetSoon = 20 * time.Second
	meetLate = 30 * time.Minute
	// meetProvide renews the record; the public network drops it after two
	// days, and the addresses in it after one.
	meetProvide = 10 * time.Hour
	// meetTimeout bounds one look-up or one round of provides.
	meetTimeout = 2 * time.Minute
	// maxMet bounds the nodes taken from one look-up.
	maxMet = 32
)

// parse checks r and reads the nodes to enter by.
func (r Rendezvous) parse() ([]peer.AddrInfo, error) {
	if r.Name == "" {
		if len(r.Via) > 0 {
			return nil, errors.New("a rendezvous needs the swarm's name")
		}
		return nil, nil
	}
	if err := checkName(r.Name); err != nil {
		return nil, fmt.Errorf("rendezvous: %w", err)
	}
	if len(r.Via) == 0 {
		return dht.GetDefaultBootstrapPeerAddrInfos(), nil
	}
	via, err := parseJoin(r.Via)
	if err != nil {
		return nil, fmt.Errorf("rendezvous: %w", err)
	}
	return via, nil
}

// meeting is a rendezvous being kept.
type meeting struct {
	name string
	via  []peer.AddrInfo
	key  ed25519.PrivateKey
	own  host.Host // this node's host in its own swarm
	met  func(peer.AddrInfo)
	log  *slog.Logger
}

// run keeps the rendezvous until ctx ends. It uses a second host, which has
// this node's name and addresses but does not listen: thousands of strangers of
// another network then take no part in the swarm's connections.
func (m *meeting) run(ctx context.Context) {
	h, err := m.host()
	if err != nil {
		m.log.Warn("no rendezvous", "err", err)
		return
	}
	defer h.Close()
	table, err := dht.New(ctx, h, dht.Mode(dht.ModeClient), dht.BootstrapPeers(m.via...))
	if err != nil {
		m.log.Warn("no rendezvous", "err", err)
		return
	}
	defer table.Close()
	grown := make(chan struct{}, 1)
	onGrowth(table, func() { signal(grown) })
	var provided time.Time
	for wait := meetSoon; ; wait = min(2*wait, meetLate) {
		if table.RoutingTable().Size() == 0 {
			m.enter(ctx, h)
			pause(ctx, rootWait, grown)
		}
		if time.Since(provided) > meetProvide && len(m.own.Addrs()) > 0 {
			if err := m.provide(ctx, table); err == nil {
				provided = time.Now()
			} else if ctx.Err() == nil {
				m.log.Info("the rendezvous does not take our record yet", "err", err)
			}
		}
		m.look(ctx, table)
		if len(m.own.Network().Peers()) == 0 || provided.IsZero() {
			wait = meetSoon
		}
		if !pause(ctx, wait, nil) {
			return
		}
	}
}

func (m *meeting) host() (host.Host, error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(m.key)
	if err != nil {
		return nil, err
	}
	return libp2p.New(
		libp2p.Identity(identity), libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport),
		libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return m.own.Addrs() }),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.UserAgent(agent),
	)
}

// enter connects to the nodes that lead into the foreign table.
func (m *meeting) enter(ctx context.Context, h host.Host) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	done := make(chan error, len(m.via))
	for _, p := range m.via {
		go func() { done <- h.Connect(ctx, p) }()
	}
	reached := 0
	for range m.via {
		if err := <-done; err == nil {
			reached++
		} else {
			m.log.Debug("rendezvous", "err", err)
		}
	}
	if reached == 0 && ctx.Err() != context.Canceled {
		m.log.Warn("none of the nodes that lead to the rendezvous answers; trying again", "nodes", len(m.via))
	}
}

func (m *meeting) provide(ctx context.Context, table *dht.IpfsDHT) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	return table.Provide(ctx, rendezvousKey(m.name), true)
}

// look hands over who else keeps the rendezvous.
func (m *meeting) look(ctx context.Context, table *dht.IpfsDHT) {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	for p := range table.FindProvidersAsync(ctx, rendezvousKey(m.name), maxMet) {
		if p.ID == m.own.ID() {
			continue
		}
		if p.Addrs = reachableAddrs(p.Addrs); len(p.Addrs) > 0 {
			m.met(p)
		}
	}
}

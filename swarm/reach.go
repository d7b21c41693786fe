package swarm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Reach says how peers find a way to this node, and it to them, where routers
// stand between. The zero Reach dials and listens, and nothing more.
type Reach struct {
	// Traverse asks the router for ports (UPnP, NAT-PMP), learns from peers
	// which addresses can be reached (AutoNAT v2), reserves a place at peers
	// that relay (circuit relay v2) where none can, and turns relayed
	// connections into direct ones by hole punching (DCUtR).
	Traverse bool
	// Relay passes other nodes' connections on, within limits, while this node
	// can be reached from outside. It needs Traverse.
	Relay bool
	// Key makes a private swarm: only nodes with the same 32 bytes can talk to
	// each other. It wraps TCP; QUIC has no place for it and is left out.
	Key []byte
}

// Limits of what this node passes on for others: enough to say hello, to punch
// a hole and, where that fails, to carry some answers.
const (
	// relayData is each direction of one relayed connection, in bytes: about
	// four thousand expert calls of 4 KiB and their answers.
	relayData = 32 << 20
	// relayTime ends one relayed connection.
	relayTime = 10 * time.Minute
	// relayReservations bounds the nodes that wait here to be called.
	relayReservations = 64
	// relayCircuits bounds the open relayed connections of one node.
	relayCircuits = 16
	// relayBuffer is each direction's buffer, in bytes; a row is 8 KiB.
	relayBuffer = 16 << 10

	// relaysWanted is how many relays an unreachable node reserves a place at.
	relaysWanted = 2
	// relayAgain is the pause before a relay that refused is asked again.
	relayAgain = time.Minute
	// relaySearch is the pause between two searches for relays among the peers.
	relaySearch = 5 * time.Second

	// punchTime is how long a stream to a peer behind a relay waits for the
	// direct connection, which takes a few round trips, before it goes through
	// the relay.
	punchTime = 3 * time.Second
)

// swarmKeyBytes is the size of a private swarm's key.
const swarmKeyBytes = 32

// NewSwarmKey writes a key for a private swarm in the common text form of
// libp2p (three lines), from 32 random bytes.
func NewSwarmKey(random [swarmKeyBytes]byte) []byte {
	return fmt.Appendf(nil, "/key/swarm/psk/1.0.0/\n/base16/\n%s\n", hex.EncodeToString(random[:]))
}

// ParseSwarmKey reads what NewSwarmKey wrote.
func ParseSwarmKey(text []byte) ([]byte, error) {
	key, err := pnet.DecodeV1PSK(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not a swarm key: %w", err)
	}
	return key, nil
}

func (r Reach) validate() error {
	if r.Relay && !r.Traverse {
		return errors.New("relaying for others needs NAT traversal")
	}
	if len(r.Key) != 0 && len(r.Key) != swarmKeyBytes {
		return fmt.Errorf("a swarm key has %d bytes, not %d", swarmKeyBytes, len(r.Key))
	}
	return nil
}

// reacher holds what the host is given to reach and be reached with, and what
// it has come to. Its fields are set before the host listens.
type reacher struct {
	Reach
	host   atomic.Pointer[host.Host] // for the search for relays, which the host starts itself
	router basichost.NATManager      // nil: not asked for
	punch  punches
	state  reachState
	// service relays for others; nil: it does not. Of the taker of events.
	service *relay.Relay
}

// punches counts tries to turn relayed connections into direct ones.
type punches struct{ ok, failed atomic.Int64 }

// Trace implements holepunch.EventTracer.
func (p *punches) Trace(e *holepunch.Event) {
	var success bool
	switch ev := e.Evt.(type) {
	case *holepunch.EndHolePunchEvt:
		success = ev.Success
	case *holepunch.DirectDialEvt:
		if !ev.Success {
			return // the hole is punched next
		}
		success = true
	default:
		return
	}
	if success {
		p.ok.Add(1)
	} else {
		p.failed.Add(1)
	}
}

// options are the host's, after those that every node has.
func (r *reacher) options() []libp2p.Option {
	var out []libp2p.Option
	if r.Key != nil {
		out = append(out, libp2p.PrivateNetwork(r.Key))
	}
	if !r.Traverse {
		return append(out, libp2p.DisableRelay())
	}
	out = append(out,
		libp2p.EnableRelay(),
		libp2p.EnableAutoNATv2(),
		libp2p.EnableHolePunching(holepunch.WithTracer(&r.punch)),
		libp2p.EnableAutoRelayWithPeerSource(r.relays,
			autorelay.WithBootDelay(0), autorelay.WithMinCandidates(1), autorelay.WithNumRelays(relaysWanted),
			autorelay.WithBackoff(relayAgain), autorelay.WithMinInterval(relaySearch)),
		libp2p.NATManager(func(n network.Network) basichost.NATManager {
			r.router = basichost.NewNATManager(n)
			return r.router
		}),
	)
	return out
}

// offerRelay starts to relay for others once peers found an address of this
// node reachable, and stops when none is. libp2p would wait for the word of the
// first AutoNAT, which peers that are themselves out of reach do not give; in a
// small swarm there may be no others. Only the taker of events calls it.
func (r *reacher) offerRelay(h host.Host, reachable bool) error {
	switch {
	case reachable && r.Relay && r.service == nil:
		limits := relay.DefaultResources()
		limits.Limit = &relay.RelayLimit{Duration: relayTime, Data: relayData}
		limits.MaxReservations, limits.MaxCircuits, limits.BufferSize = relayReservations, relayCircuits, relayBuffer
		limits.MaxReservationsPerIP = relayReservations // a room of machines behind one address
		var err error
		r.service, err = relay.New(h, relay.WithResources(limits))
		return err
	case !reachable && r.service != nil:
		service := r.service
		r.service = nil
		return service.Close()
	}
	return nil
}

// relays gives the connected peers that offer to relay.
func (r *reacher) relays(_ context.Context, most int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, most)
	defer close(out)
	h := r.host.Load()
	if h == nil {
		return out
	}
	for _, p := range (*h).Network().Peers() {
		if len(out) == most {
			break
		}
		if found, err := (*h).Peerstore().SupportsProtocols(p, circuit.ProtoIDv2Hop); err != nil || len(found) == 0 {
			continue
		}
		out <- peer.AddrInfo{ID: p, Addrs: (*h).Peerstore().Addrs(p)}
	}
	return out
}

// speaks drops the addresses that a node in a private swarm cannot use.
func (r Reach) speaks(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if r.Key == nil {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		_, err := a.ValueForProtocol(multiaddr.P_QUIC_V1)
		return err == nil
	})
}

// relayed reports whether a leads through a relay: a spoken address, the
// relay's id, and nothing but the circuit after it.
func relayed(a multiaddr.Multiaddr) bool {
	before, after := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_P2P })
	codes := make([]int, 0, 2)
	for _, p := range after.Protocols() {
		codes = append(codes, p.Code)
	}
	return slices.Equal(codes, []int{multiaddr.P_P2P, multiaddr.P_CIRCUIT}) && spoken(before)
}

// outside reports whether any of addrs is more than loopback: whether there is
// an outside to be reached from.
func outside(addrs []multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(addrs, func(a multiaddr.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}

// openStream opens a stream to p. Where only a relay connects the two, it waits
// a little for the direct connection that hole punching brings about.
func openStream(ctx context.Context, h host.Host, p peer.ID, id protocol.ID) (network.Stream, error) {
	if err := h.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return nil, err
	}
	if h.Network().Connectedness(p) != network.Limited {
		return h.NewStream(ctx, p, id)
	}
	direct, cancel := context.WithTimeout(ctx, punchTime)
	defer cancel()
	s, err := h.NewStream(direct, p, id)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	return h.NewStream(network.WithAllowLimitedConn(ctx, "no direct way"), p, id)
}

// linked reports whether there is a connection to p, direct or relayed.
func linked(h host.Host, p peer.ID) bool {
	c := h.Network().Connectedness(p)
	return c == network.Connected || c == network.Limited
}

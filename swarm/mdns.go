package swarm

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsService is the name under which nodes find each other on a network. It
// sets them apart from all other users of libp2p there.
const mdnsService = "_moeswarm._udp"

// neighbours tells the dialer of nodes on the same network.
type neighbours struct {
	host   host.Host
	dialer *dialer
}

// HandlePeerFound implements mdns.Notifee.
func (n neighbours) HandlePeerFound(p peer.AddrInfo) {
	addrs := reachableAddrs(p.Addrs)
	if p.ID == n.host.ID() || len(addrs) == 0 {
		return
	}
	n.host.Peerstore().AddAddrs(p.ID, addrs[:min(len(addrs), maxRecordAddrs)], peerstore.TempAddrTTL)
	n.dialer.want(p.ID)
}

// startMDNS answers and asks on the local network until stop is called. A
// network without multicast is no reason not to start.
func startMDNS(h host.Host, d *dialer, log *slog.Logger) (stop func()) {
	s := mdns.NewMdnsService(h, mdnsService, neighbours{host: h, dialer: d})
	if err := s.Start(); err != nil {
		log.Warn("nodes on the local network cannot be found by mDNS; name one with --join", "err", err)
		return func() {}
	}
	return func() { _ = s.Close() }
}

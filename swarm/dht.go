package swarm

import (
	"context"
	"fmt"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// dhtPrefix sets our hash table apart from all others: the protocol is
// /moeswarm/kad/1.0.0.
const dhtPrefix protocol.ID = "/moeswarm"

// newDHT starts the hash table on h. grown is called, from the hash table's
// own goroutine, whenever a peer enters the routing table; it must not block.
// The caller closes the table.
//
// The node serves the table unless it learns that nobody can reach it. There
// are no bootstrap peers: join.go brings the first connection. Values are
// off, so the table stores provider records alone, in records.
func newDHT(ctx context.Context, h host.Host, records *recordStore, grown func()) (*dht.IpfsDHT, error) {
	d, err := dht.New(ctx, h,
		dht.ProtocolPrefix(dhtPrefix),
		dht.Mode(dht.ModeAutoServer),
		dht.DisableValues(),
		dht.ProviderStore(records),
		dht.AddressFilter(reachableAddrs),
		// Private and loopback peers are as good as any other: a swarm may
		// live in one house or on one machine. So no query filter, no routing
		// table filter and no limit on peers of one address range.
	)
	if err != nil {
		return nil, fmt.Errorf("starting the hash table: %w", err)
	}
	onGrowth(d, grown)
	return d, nil
}

// onGrowth makes a hash table call grown whenever a peer enters its routing
// table. The table has a callback of its own in that place. Nothing is
// connected yet, so nobody else touches the field.
func onGrowth(d *dht.IpfsDHT, grown func()) {
	table := d.RoutingTable()
	added := table.PeerAdded
	table.PeerAdded = func(p peer.ID) {
		added(p)
		grown()
	}
}

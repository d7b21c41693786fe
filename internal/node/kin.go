package node

import (
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// kin says of other peers whether they may well be one's operator's as well: they
// have addresses in one public network with it (/24, /48 of IPv6), or are in one
// team by the ledger. What it knows of addresses is as of now.
func (n *Node) kin(one routing.Peer) func(routing.Peer) bool {
	near := neighbours(n.net.Peers(), one)
	team := ""
	if n.economy != nil {
		team = n.economy.team(one)
	}
	return func(p routing.Peer) bool { return near[p] || team != "" && team == n.economy.team(p) }
}

// neighbours are those of these peers that have an address in one public network
// with one of them.
func neighbours(known []swarm.PeerView, one routing.Peer) map[routing.Peer]bool {
	near := map[routing.Peer]bool{}
	i := slices.IndexFunc(known, func(p swarm.PeerView) bool { return p.Peer == one })
	if i < 0 {
		return near
	}
	own := netsOf(known[i].Addrs)
	for _, p := range known {
		near[p.Peer] = slices.ContainsFunc(netsOf(p.Addrs), func(x ledger.Net) bool { return slices.Contains(own, x) })
	}
	return near
}

// team is a provider's, as the ledger had it in this epoch; empty: none.
func (e *economy) team(p routing.Peer) string {
	k, err := e.keys.of(p)
	if err != nil {
		return ""
	}
	e.hasBond(k)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.backed[k].team
}

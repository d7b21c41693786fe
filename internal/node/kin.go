package node

import (
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// kin says whether two peers may well be one operator's: they have addresses in one
// public network (/24, /48 of IPv6), or are in one team by the ledger.
func (n *Node) kin(a, b routing.Peer) bool {
	if neighbours(n.net.Peers(), a, b) {
		return true
	}
	if n.economy == nil {
		return false
	}
	team := n.economy.team(a)
	return team != "" && team == n.economy.team(b)
}

// neighbours says whether two of these peers have addresses in one public network.
func neighbours(known []swarm.PeerView, a, b routing.Peer) bool {
	nets := map[routing.Peer][]ledger.Net{}
	for _, p := range known {
		if p.Peer == a || p.Peer == b {
			nets[p.Peer] = netsOf(p.Addrs)
		}
	}
	return slices.ContainsFunc(nets[a], func(x ledger.Net) bool { return slices.Contains(nets[b], x) })
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

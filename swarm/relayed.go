package swarm

import "github.com/moeswarm/moeswarm/routing"

// Relayed says that this node reaches a peer through a third node only, as far
// as the connections of this moment tell. It answers from memory, and is false
// for a peer without a connection: how it will be reached is not known yet.
func (n *Node) Relayed(p routing.Peer) bool {
	l := n.live.Load()
	id, err := peerID(p)
	return l != nil && err == nil && wayTo(l.host, id) == WayRelay
}

// Package swarm joins this node to its peers: it finds them, tells them what
// this node serves, learns what they serve, and carries expert calls and
// prompts to them and from them.
//
// # Nouns
//
// A [Node] is this process as its peers see it, with an identity of its own
// (an ed25519 key) and addresses it listens on. An [Offer] is what the node serves
// of one model: some experts, the trunk (it gates), or both. An announcement
// (wire.Announcement) is a peer's own word about its offer of one model; it
// is fresh, carries the peer's load and ends soon after the peer does. A
// provider record is an entry in the distributed hash table that says who
// serves something; it lasts for hours and only hints at whom to ask. The
// holdings table joins the two: who holds which expert, now, as far as this
// node knows. It answers from memory, because the routing of every layer of
// every token reads it.
//
// # How nodes find each other
//
// Four ways, from the quickest to the widest:
//
//   - hello: two nodes that connect send each other their announcements on a
//     stream of the protocol /moeswarm/hello/1, and again when something
//     changes and when they leave. So a node is useful as soon as it joined.
//   - gossip: announcements go out every ten seconds, and when they change, on
//     one GossipSub topic per model, /moeswarm/1/model/HEX, and, without the
//     list of experts, on /moeswarm/1/models, where a node that holds nothing
//     learns which models there are. GossipSub signs every message with its
//     author's key.
//   - the distributed hash table: a Kademlia of our own, protocol prefix
//     /moeswarm, finds peers that this node has no connection to.
//   - mDNS finds nodes on the same network without any address given.
//   - a rendezvous, if the user asks for it: nodes that know nobody meet under
//     a name in the hash table of another network ([Rendezvous]).
//
// Nobody else is contacted: there are no bootstrap nodes but those that the
// user names.
//
// # How they reach each other through routers
//
// [Reach] has the means, each of which works without the others: the router is
// asked for a port; peers dial back and say which addresses they could reach; a
// node that nobody can reach reserves places at peers that can be, and is known
// by addresses that lead through them; over such a relayed connection two nodes
// agree on the moment to punch holes into their routers. Streams wait a little
// for the direct connection and take the relayed one if there is none. A
// private swarm's key keeps all others out.
//
// # Keys of the hash table
//
// All are CIDs of version 1, codec raw, hash SHA-256. || joins bytes; numbers
// are little-endian.
//
//	a model's manifest   the digest is the ModelID itself; every node that serves
//	                     some part of the model provides it
//	a gating node        SHA-256("moeswarm/1/gates" || ModelID)
//	an expert            SHA-256("moeswarm/1/expert" || ModelID || layer u16 || index u16),
//	                     or the content's own CID (BLAKE3) where the Offer gives one
//	any node that serves SHA-256("moeswarm/1/serves")
//
// Kademlia cannot withdraw a record. It expires, and until then a node that
// no longer serves an expert refuses calls with expert.ErrUnknownExpert.
//
// # Ownership
//
// [Node.Run] owns every goroutine, connection and listener and returns when
// all have ended. When its context ends the node first says goodbye, so that
// nobody calls it any more, then finishes the answers it is giving. Slices
// that [Node.Holders] returns are shared and must not be changed; all other
// results belong to the caller.
//
// # What it does not do
//
// It does not choose peers (package routing does), knows nothing of tensors,
// and does not judge whether a result is right. Everything a stranger can
// cause is bounded by a limit with a name; see limits.go.
package swarm

// Package placement decides which experts a node should hold, and whether it
// should gate, from what it knows of the swarm.
//
// # Nouns
//
// A [View] is what one node sees when it decides: for each expert of a model
// how many others hold it, how many announced that they are about to fetch it
// (an intention), how much it is asked for, and whether this node has it; and
// the node's own budget and rates. [Decide] turns it into a [Decision]: what to
// fetch, what to let go, what others should take over first. [Confirm] looks
// again at a fetch once the intentions of others have arrived. [DecideTrunk]
// does the same for the dense part.
//
// # What it wants
//
// First that no expert is missing, then that each has [Policy.Want] holders,
// then that holders are in proportion to demand: an expert asked for twice as
// often has twice the copies. The worth of a copy is demand over the copies
// that others hold, so a full node exchanges a copy for another only if that
// is worth [Policy.Hysteresis] times as much; the exchange back would be worth
// less than nothing, which makes the whole stable.
//
// # Why not all do the same
//
// Nodes that see the same hole would all fill it. Three things keep them apart.
// Each volunteers for a scarce expert only with the probability that makes
// [Policy.Volunteers] of all able nodes do so. Those who do announce it, wait
// for the others' announcements, and give way to those above them in a fixed
// order ([Rank]), so that the wanted number fetches and the rest has spent a
// few hundred bytes of gossip. And all other choices are drawn with weights.
//
// # Why the last copy stays
//
// A node lets an expert go only if Want other holders rank above it. The order
// is fixed, so of the holders of an expert the first Want never let go, however
// many decide at the same moment. A node that must (its budget shrank, it
// leaves) names the copies that others should take over first.
//
// The package is pure: time and randomness are arguments, nothing is kept and
// nothing blocks. It knows no network and no files.
package placement

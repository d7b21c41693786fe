// Package routing chooses peers for the expert calls of a layer and sees the
// calls through, whatever the peers do.
//
// An [Estimate] is what this node has measured about a peer: round trip,
// queue, speed, failures. [Plan] is the decision, a pure function: it gives
// each call to the holder expected to answer first, counting what it has
// already given that holder, and returns one [Attempt] per peer. The [Router]
// is the shell around it. It is an [expert.Applier] and an [expert.Summer]:
// it computes what this node holds, asks peers for the rest at the same time,
// and moves calls to another holder when a peer fails. It drops no expert: a
// call ends with a result, or with an error that says why there is none.
// [Directory], [Caller] and [Prober] are all it knows of the network.
//
// Apply and Sum own the goroutines they start and wait for them; Run owns
// those that probe idle peers. A Router works without Run, but then it does
// not notice that a peer it avoids has become fast again. Results belong to
// whoever asked for them.
//
// Nothing here dials, encodes or looks anything up in the swarm; that is
// package swarm. Which experts a row needs is decided in package gating.
package routing

// Package routing chooses peers for the expert calls of a layer and sees the
// calls through, whatever the peers do.
//
// An [Estimate] is what this node has measured about a peer in the last
// seconds: round trip, queue, speed, failures, and how far its answers stray
// from what was expected (p50 and p95). A [Reputation] is what days have shown:
// checks passed, punctuality, uptime. [Plan] is the decision, a pure function:
// it gives each call to the holder expected to answer first, counting what it
// has already given that holder, and returns one [Attempt] per peer, and the
// hedges to start when one is late. The [Router] is the shell around it. It is
// an [expert.Applier] and an [expert.Summer]: it computes what this node holds,
// asks peers for the rest at the same time, duplicates what is late, and moves
// calls to another holder when a peer fails. [Directory], [Caller] and [Prober]
// are all it knows of the network.
//
// What happens to an ask that is not answered, in order:
//
//   - at its peer's p95 it is duplicated at the next best holder, if there is
//     one and the budget allows ([Hedge], 5 % of calls); the first good answer
//     is used, the other ask is cancelled and its peer told;
//   - at four times its p95 it is cut off: its calls move and its peer is
//     avoided ([Breaker]), or, if no other holder could take over, the same is
//     asked again, since an ask may be lost;
//   - when all holders were tried, it waits and starts again, with twice the
//     time; an expert that nobody holds is waited for, and then named.
//
// So no expert is dropped: a call ends with a result, or with an error that
// says why there is none. Only a call marked optional is given up when all
// others are done and it has had its p95.
//
// Config.Check sees each answer before its layer returns. What it finds wrong
// is done again elsewhere; [Router.Condemn] excludes a peer for good.
//
// Apply and Sum own the goroutines they start and wait for them; Run owns
// those that probe idle peers. A Router works without Run, but then it does
// not notice that a peer it avoids has become fast again. Results belong to
// whoever asked for them.
//
// Nothing here dials, encodes or looks anything up in the swarm; that is
// package swarm. Which experts a row needs is decided in package gating.
package routing

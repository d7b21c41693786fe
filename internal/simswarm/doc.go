// Package simswarm is a swarm in memory: holders that compute, links with
// modelled delay between them and the nodes that ask, and peers that
// misbehave. It stands in for package swarm in scenarios and tests.
//
// A [Link] is a description of a way through the network: round trip, spread
// over pairs, jitter, tail, loss, bandwidth. [Link.Path] draws one pair's way
// from a seed, once; each message then gets its delay from that path's own
// stream of numbers, so that peers do not disturb each other's.
// A [Swarm] has holders, and [Swarm.From] is one node's view of it: a
// routing.Directory, routing.Caller and routing.Prober. A [Fault] wraps what a
// holder computes with; there is one a file.
//
// Time is package time's: delays are timers, so a Swarm runs in virtual time
// inside a testing/synctest bubble, and in real time elsewhere. The compute of
// a holder is whatever its Applier takes: real work, or [Modelled] work, which
// sleeps. Links deliver each message by itself, as QUIC streams do: one that
// is late does not hold up the next, but those that share a path share its
// bandwidth.
//
// A Swarm starts goroutines for asks under way only. They may outlive the
// asker's wait, since a holder hears of a cancellation half a round trip
// later; Close waits for all of them.
package simswarm

// Package localswarm starts a throwaway swarm of real processes on this
// machine: child processes of the moeswarm binary on loopback, each holding
// its share of a model's experts, and one more that holds nothing, where
// prompts enter.
//
// A [Swarm] owns its processes. Close stops them all; should the parent die
// without closing, they see their standard input end and stop by themselves.
// They keep nothing on disk.
//
// It serves "moeswarm run", the loopback benchmarks and the end-to-end tests.
package localswarm

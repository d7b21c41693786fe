// Package experttest holds every [expert.Applier] to the same contract.
//
// [Run] is the conformance suite: the local set, the router and a swarm over
// real connections pass the same cases, each described to the suite by a
// [Fixture]. [Fake] is a small Applier in plain Go whose experts are drawn
// from a seed: a reference to compare with, and a holder for tests that need
// no model.
//
// Run waits for what it starts. An Applier belongs to the test that made it,
// which closes it with t.Cleanup.
//
// The suite does not measure speed (benchmarks that want cold caches have
// [Sweep]), and it says nothing about whether an expert's numbers are those of
// the model; it compares with a reference.
package experttest

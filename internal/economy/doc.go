// Package economy simulates years of the swarm's money, an hour at a time.
//
// The rules are the ledger's own code: what a payment splits into, what an
// escrow may spend, what a bond may earn, what an epoch mints. The people are
// assumptions: how much is asked for, what NEURO costs, what a machine costs,
// and that people come when it pays and go when it does not. A [Scenario] is a
// set of them. The price of NEURO is an input and never a result: nothing here
// says what it will be, only what the rules do when it is that.
//
// Machines are grouped in cohorts of equal ones, clients are one escrow, and
// every amount is a whole number of nneuro. After each epoch all accounts
// together must be what was there before, plus what was minted, minus what was
// burned, or the run fails.
//
// [Run] returns a [Result]: a sample for each week and sums; [Result.SVG] plots
// it. Equal seeds give equal results on one kind of machine. Nothing here starts
// a goroutine or reads a clock.
package economy

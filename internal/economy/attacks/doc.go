// Package attacks plays attacks on the swarm's money against the ledger's own
// state machine and says what each gains and costs.
//
// An [Attack] is a file: a short play on a stage, which is a ledger in memory
// with clients, gates and holders, or an exact calculation where chance decides.
// Its [Outcome] has the attacker's gain over honesty in NEURO, negative when it
// lost, the most it may be, and further numbers. The tests hold every gain under
// its bound. Attacks that no code of one process can show, as eclipses, floods
// and leaks, are not here; docs/economy.md lists them.
package attacks

// Package ledger has the nouns and the arithmetic of the swarm's economy: who
// may gate, who is paid, and what is proof of a lie. It has no network, no
// clock and no disk; every number is an integer, and every byte layout is
// canonical, so that machines that saw the same messages hold the same state.
//
// The nouns. An Amount counts nneuro, 10^-9 NEURO. A Key is an ed25519 public
// key: an account, a node of the swarm and a seat are all one. A client has an
// Escrow per model; for an epoch its budget is split over its assigned gates. A
// Voucher is a client's signed promise to a gate, a Receipt a gate's to a
// holder. A Msg changes the ledger; package state says how.
//
// The package does not decide who is honest: package state applies the rules,
// package routing/audit finds the lies.
package ledger

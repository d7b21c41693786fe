// Package light uses a ledger without keeping it: a light client of the chain.
//
// A [Client] trusts one block, which its [Ticket] names, and the signatures of
// more than a third of the validators of a block it trusts for the next, as the
// light client of CometBFT does, which it is. It asks one node and compares
// headers with others. Every record is proved by two ICS-23 proofs: of the
// record in its store, and of the store in the state that a header names. What
// became of a message is proved by its place in a block and that of its result.
// Where nodes show two chains that validators signed, the client stops, and tells
// each side of the other, so that who signed both loses stake. What is not
// proved: the text of a refusal, and events, which are hints.
//
// The package has no network. Its user opens streams to nodes (see [Opener]),
// and one stream carries one request and its answer, in the frames of wire.go.
// Package light knows just enough of the transactions of a Cosmos chain to
// write and sign one.
package light

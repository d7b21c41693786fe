// Package state is the ledger's state machine: what each message does to money
// and records, and what a block and an epoch do by themselves. The chain and
// the ledger in memory run this code and no other.
//
// The nouns. A KV keeps records under the keys of package ledger, a Money keeps
// coins in accounts and in the Pots of the rules. A Machine is a view of both
// for one block or message; it keeps nothing of its own.
//
// A message that fails may have written: whoever calls Deliver takes its writes
// back, which both hosts do anyway. Nothing here reads a clock or draws a random
// number, and nothing iterates in an order that is not the keys'.
package state

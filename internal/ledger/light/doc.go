// Package light uses a ledger without keeping it: a light client of the chain.
package light

// Package pay has the three sides of payment off the token path: a client's
// Purse signs vouchers, a gate's Till takes them, credits holders with receipts
// and settles, a holder's Stub keeps receipts and disputes what is missing.
//
// Each keeps its books in one file of its own (bbolt), and none writes to it
// for every token. What must not be forgotten is promised to the disk first, in
// larger steps: a purse reserves money before it signs, a till reserves units
// before it signs receipts. So after a crash a purse has spent no less, and a
// till owes no less, than the world holds signatures for; it may be a step more.
// Vouchers and receipts that others signed are written every second: the next
// one replaces what a crash lost.
//
// New opens the file and starts nothing; Run writes until its context ends;
// Close writes what is left. All methods may be called by several goroutines.
package pay

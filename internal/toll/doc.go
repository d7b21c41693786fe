// Package toll keeps the accounts of answers and calls while they run: what an
// asker pays a gating node ahead of, how much a gating node gives on credit, and
// what a holder is owed. The money itself is package ledger's and its Purse's,
// Till's and Stub's.
//
// # Tokens
//
// An answer costs its prompt's tokens, those of the prefix that a gating node
// took over from another, and those it gives, times the price that the gating
// node announces. Both sides count the same way (see [Load]), in lanes: a lane is
// one session of one client at one gating node, with one price, over many answers.
//
// An answer begins when what is known of its length beforehand is paid, and one
// window of tokens. From then on the client pays for a window whenever it has used
// up what it paid for, so that it is always one window ahead at most; the gating
// node goes on meanwhile, for one window at most. So each side risks one window
// of each answer, the gating node also the part of a prompt that its length in
// bytes did not show, and nothing ever waits for the network unless a round trip takes
// longer than a window.
//
// A client that pays nothing has a free quota in each epoch.
//
// # First payment
//
// What goes along with a prompt is a salt, 16 random bytes from which the answer's
// name follows, and then a voucher or nothing. The gating node signs parts of the
// answer under that name, the first of them for what was asked (see [Seals]).
//
// The package opens no connections and starts no goroutines but [Credits.Run].
package toll

// Package credit counts what people's machines did for the swarm, where nothing
// is paid.
//
// A gate signs [ledger.Receipt]s for the work of a holder; a holder signs a
// [Badge] that says under which name and team it wants to be counted. A [Book]
// keeps both, verified, over a window of epochs, and [Rank] makes a [Board] of
// what they add up to: nodes and teams in order. Receipts are totals of an
// epoch, so a repeated, lost or late one changes nothing.
//
// With a ledger the same board is made of its providers, see [FromProviders],
// and everybody can have it proved. Without one a gate can sign what it likes, and
// anybody can have gates. So a board has two numbers: what receipts say in all,
// and what of that the node that looks ([Eyes]) has reason to believe, by what it
// knows itself and what those say that worked for it. Boards of two nodes differ
// in the second. A holder's receipts from its own key count nothing.
//
// Nodes tell each other what their books have ([Book.Digest]) and are given what
// they lack ([Book.Lacking]): badges and receipts in the form in which a Book is
// also kept on disk. All of it is a stranger's input and is verified before it is
// kept. A Book may be used by several goroutines; nothing here reads a clock or
// starts a goroutine.
package credit

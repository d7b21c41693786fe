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
// and everybody can have it proved. Without one it is as true as the gates whose
// receipts count (Config.Gates): a gate can sign what it likes. A holder's
// receipts from its own key count nothing, and each line says how many gates
// stand behind it, and how much of it the largest of them signed.
//
// Nodes exchange [Book.Bundle]s: a holder's badge and receipts, in the form in
// which a Book is also kept on disk. All of it is a stranger's input and is
// verified before it is kept. A Book may be used by several goroutines; nothing
// here reads a clock or starts a goroutine.
package credit

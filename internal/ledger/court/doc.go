// Package court is a node's part in cases: what it keeps of a liar's work, how it
// accuses, how it judges when it is drawn into a jury, and when it appeals.
//
// # What is signed
//
// A holder signs one [ledger.Result] for each frame of calls that it answers,
// before anybody tells it what is checked. The header names two roots of hashes,
// over the rows that came and over the rows that went back ([Frame]), so that a
// few rows of a large answer can be shown with a path of hashes each: an
// [Exhibit]. Who has it can tell what was asked, what was answered and who signed
// that; package jury tells what the answer should have been.
//
// # Duties
//
// The ledger lists the open cases of every account under one key. A [Clerk]
// reads its own list whenever the ledger tells of a case, and from time to time.
// As a juror it fetches the exhibit from the accuser or from whoever else has it,
// judges, and writes ruling and salt to the disk before it commits to them; a
// crash between commitment and revelation costs nothing. Evidence that cannot
// be had, or does not show what it should, acquits: jurors who do not get it
// rule [Unproven], which the accuser pays for.
//
// The clerk appeals for its node when its own judgement of the evidence is other
// than the finding that its node lost by.
//
// # On disk
//
// A [Shelf] keeps evidence by hash, [MaxShelf] bytes of it; accusations wait in
// files until the ledger has them. Nothing here uses the network; the clerk is given
// functions that do.
package court

// Package transfer fetches parts of models from several peers at once into a
// content store.
//
// [Schedule] decides which chunk comes from whom: rare blobs first, what was
// begun before what was not, and near the end a chunk that a slow peer keeps
// from us once more from another. It is plain data with time as an argument.
// [Fetch] is the shell around it: a goroutine a source, each with at most
// [Window] bytes in flight, and every chunk checked against its hash before it
// is kept. A peer that sends bytes that do not belong to their hash is asked
// nothing more and is named. What is on disk when a fetch is cut off at any
// moment is not fetched again.
//
// The package knows no network: whoever calls it opens streams to peers.
package transfer

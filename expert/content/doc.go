// Package content keeps parts of models on disk by hash.
//
// A [Store] is one directory of whole blobs, each named by its BLAKE3, and of
// parts that are still being fetched ([Partial]). A file takes its name when
// its last chunk was checked and is on disk, so a crash at any moment leaves a
// whole blob, a part that goes on where it was, or nothing. Blobs that several
// models share are there once. [Store.Keep] says which models this node wants;
// what no kept model names is garbage.
//
// Nothing is believed because it is there: a blob is read whole and checked
// against its name before its first use in a process, and each chunk again
// before it is sent. What is damaged is removed, and counts as absent.
//
// A [Shelf] is what peers may fetch: parts of model files that stay where they
// are, and blobs of a store. Nothing here starts a goroutine that outlives the
// call that started it.
package content

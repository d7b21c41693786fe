// Package gguf reads and writes the GGUF container: metadata and named
// tensors in one file, as llama.cpp and its relatives use it.
//
// A [File] is what [Parse] found: the metadata as [KV]s in file order, and
// where each [Tensor] lies. The tensors' bytes stay in the file; their offsets
// are absolute, so that whoever mapped the file can slice them out. [Write]
// makes such a file from KVs and [TensorSpec]s as a stream. A [Type] is how a
// tensor stores its values, with ggml's numbering.
//
// Nothing here starts a goroutine or keeps the reader after [Parse] returned.
// A File is never changed after Parse and may be read by several goroutines;
// the slices it hands out are shared and read-only.
//
// A file is taken to come from a stranger: every count and length is checked
// against the bytes that are there and against the named limits before memory
// is asked for, and each error is one line that names the key or tensor at
// fault. What the metadata means is not known here; package expert knows.
// Supported are versions 2 and 3, little-endian. The tables of the files of a
// split model are put together by [Join].
package gguf

// Package ggml is a thin cgo binding to the ggml C library: block quantised
// matrices, their products with rows of activations, and the few vector
// kernels a transformer needs besides.
//
// A [Matrix] is a view of weights where they lie, usually inside the memory
// mapping of a GGUF file: nothing is copied and nothing is owned. [Rows] are
// activations in the format a matrix multiplies with (ggml quantises them to 8
// bits for block formats); several matrices of one format share them. A
// [Pool] runs pieces of work on a bounded number of threads.
//
// ggml's own threading is not used, because its barrier spins. A pool has threads
// of its own (crew.c), which take pieces of a call's work, ranges of matrix rows,
// until none is left; what has no kernel is shared out to goroutines by [Pool.Do]. An output value depends on its matrix row and its activation
// row alone, whatever else is in the batch: that is what keeps tokens
// independent of batching. One row of activations is multiplied by ggml's dot
// products, called through its type traits. Several rows go through kernels of
// this package (rows_*.c) that unpack sixteen weight rows once for all of them
// and add up in ggml's order, so that they give ggml's bits; see [Grouped].
//
// The ggml sources come with the module github.com/ollama/ollama, the last
// release that carries them. This is the only package with cgo. It knows
// nothing of models or experts.
package ggml

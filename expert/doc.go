// Package expert names the experts of a model, holds those of this node and
// applies them to token batches.
//
// An expert is one feed-forward network of one sparse layer, named by the
// model it belongs to, its layer and its index ([ID]). A token batch is rows
// of activations, one per token ([Batch]). A [Call] applies one expert to some
// rows of a batch, and an [Applier] answers the calls of one layer together,
// because whoever groups them by peer must see them at once. A [Model] is a
// GGUF file opened in place: its weights are read from the memory mapping and
// never copied. A [Set] is the part of a model this node computes.
//
// Nothing here starts a goroutine that outlives the call that started it, and
// nothing here reads a clock or a network. Batches belong to the caller: an
// Applier reads them only until it returns, and results belong to whoever
// asked for them.
//
// Choosing experts is the business of package gating, choosing peers that of
// package routing.
package expert

// Package trunk runs the dense part of a model for one step: embedding,
// attention with its key/value cache, norms, gate scores and head.
//
// A [Step] is a batch of token rows of several sequences at different
// positions. [Trunk.Forward] takes it through all layers, handing the sparse
// part of each layer to a [Mixer], and returns the logits of the rows that
// want them. Sequences are told apart by slots.
//
// A Trunk belongs to one goroutine at a time. It spreads its work over a
// shared [ggml.Pool] and owns no goroutine itself. Its scratch grows to the
// largest step and is then reused; the logits it returns are valid until the
// next step. A row's result does not depend on the other rows of its step,
// to the last bit.
//
// It knows neither text nor sampling (package engine), nor which experts are
// chosen or where they are (package gating and beyond).
package trunk

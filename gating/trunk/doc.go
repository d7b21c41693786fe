// Package trunk runs the dense part of a model for one step: embedding,
// attention with its key/value cache, norms, gate scores and head.
//
// A [Step] is a batch of token rows of several sequences at different
// positions. [Trunk.Forward] takes it through all layers, handing the sparse
// part of each layer to a [Mixer], and returns the logits of the rows that
// want them. Sequences are told apart by slots.
//
// Several steps may be under way at once, each on a [Lane] of its own and with
// other slots: while one waits for its experts, the next computes. The trunk
// spreads its work over a shared [ggml.Pool] and owns no goroutine itself. A
// row's result does not depend on the other rows of its step nor on other
// lanes, to the last bit.
//
// A slot may have several rows in one step, each with logits if wanted: so
// several tokens of a sequence are verified in one pass, and those refused
// are forgotten by [Trunk.Truncate] or simply overwritten.
//
// It knows neither text nor sampling (package engine), nor which experts are
// chosen or where they are (package gating and beyond).
package trunk

// Package entry completes prompts at the node where they come in, wherever
// the gating nodes are, and carries an answer on when one of them dies.
//
// An answer is one prompt being completed. An attempt is one try of it at one
// gating node, named by its peer id; the empty name is this node itself. A
// round asks every known gating node once. An [Entry] is a prompt.Completer
// over all of them: it asks this node first when it gates the model, then the
// known peers, nearest first, those that failed lately last. When an attempt
// fails it begins another with the tokens delivered so far as prefix, so its
// user sees neither a break nor a repeated token. When a round brought no
// token it waits with a growing back-off, up to a named time, for a gating
// node to appear. The [Policy] holds every such limit.
//
// What a gating node sends is checked: one that breaks the promises of
// prompt.Chunk counts as lost. Whether its tokens are the right ones is not
// checked here.
//
// An answer runs on the goroutine that ranges over it. Only a look-up of
// gating nodes runs beside it, and it has ended before the range loop has.
// The tokens of an answer are kept until it ends; their number is bounded by
// the request's MaxTokens.
//
// The package opens no connections, knows no peer type and finds nothing
// itself: the functions of [Config] do.
package entry

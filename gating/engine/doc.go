// Package engine decides which sequences advance in a step of the trunk and
// turns logits into tokens: continuous batching, sampling and drafts.
//
// A sequence is one prompt on its way to an answer: its tokens so far, and the
// slot that holds its keys and values in the trunk. Sequences join and leave
// at every step. A step has three verbs: schedule (which sequence gets how
// many rows: one to decode, or a chunk of its prompt), forward (the trunk's
// part, through [Forwarder]) and sample (one token for each sequence whose
// last row was in the step). Schedule and sample are pure functions.
//
// While a step waits for experts, others go on: where the network takes long,
// sequences that decode advance in several groups out of phase, each step on a
// lane of its own, and prompts are read beside them. How many groups is
// chosen by measured times (package groups); where experts are at home it is one.
//
// Keys and values have a budget. A sequence joins when there is memory for its
// tokens; when those that run need more, what is kept of ended ones goes first,
// longest unused first, then the youngest sequence is suspended and computes
// its tokens again later, to the same bits. A sequence that begins like one
// that is kept of the same user takes over its keys and values. Who joins next
// is fair between users by the rows that they were served.
//
// The goroutine that calls [Engine.Run] owns all running sequences, and waits
// for the goroutines of steps, of which a step's lane belongs to one at a time.
// [Engine.Complete] runs in its caller's goroutine: it
// tokenises, hands the sequence over and receives tokens through a channel
// that has room for all of them, so a slow reader delays nobody. Its context
// ends the sequence, be it waiting, running or in the middle of a step.
// Where there is no place, prompt.BusyError says how long one would wait.
//
// The token at index i of an answer depends on the logits, on the last tokens
// and on (seed, i) alone. So an answer that another engine began goes on here
// as it would have gone on there: its tokens come as the request's prefix.
//
// A sequence that draws may bring more than its next token: a draft of what
// follows (package draft), a row of logits for each. They are drawn from in
// order, each with its own (seed, i), for as long as what is drawn is what the
// draft said. So answers are those without drafts token for token, sampled
// ones as well, for any seed: more than speculative sampling gives, which only
// keeps the distribution, and it lets an answer move to a gating node that
// drafts otherwise. Penalties, counts and whatever else looks back see drawn
// tokens only.
//
// The engine keeps no text, knows nothing of stop strings (prompt.Text does)
// and asks nobody for experts: that is the trunk's business.
package engine

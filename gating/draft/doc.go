// Package draft proposes the next tokens of an answer before the model has
// computed them, and decides how many of them are worth a model's while.
//
// A step of the trunk costs a round to the experts per sparse layer, whether
// one row of a sequence is in it or nine. So a sequence may bring its next
// token and a draft of those after it; each row's logits say what really
// follows, and as long as that is what the draft said, the next row is good as
// well. What is drawn never depends on the draft, only how many tokens a step
// yields.
//
// [Lookup] drafts by looking for the longest end of the sequence that occurred
// in it before: code being edited, quoted text and lists repeat themselves.
// Each proposed token has a [Class], which says how it came about;
// [Acceptance] learns per class how often such tokens were right, also of
// those that were proposed and not sent. [Costs] learns what a step takes by
// its number of rows. [Share] puts both together: it gives each sequence as
// many rows as makes the expected tokens per time largest. Where a row costs
// about as much as a step, on a fast network or on one machine, that is none.
//
// Everything here is arithmetic on its arguments, without clock, randomness or
// I/O. Nothing is safe for use by several goroutines.
package draft

// Package reply tells apart what a model writes into one stream of text: what
// it says, what it thinks, and which tools it calls.
//
// A [Parser] is made for the way in which a model writes tool calls
// (prompt.ToolSyntax, which the gating node reads off the model's template).
// It is given the text as it comes, control tokens included where the syntax
// is made of them ([Knows]), and returns [Part]s: text and reasoning at once,
// except what may be the beginning of a mark; tool calls when they are
// complete. How the text is cut over calls makes no difference. What does not
// parse as a tool call is text: nothing that a model wrote is lost.
package reply

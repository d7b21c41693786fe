// Package reply tells apart what a model writes into one stream of text: what
// it says, what it thinks, and which tools it calls.
//
// A [Parser] is made for the way in which a model writes tool calls
// (prompt.ToolSyntax, which the gating node reads off the model's template).
// It is given the text as it comes, control tokens included where the syntax
// is made of them ([Knows]), and returns [Part]s: text and reasoning at once,
// except what may be the beginning of a mark; the arguments of tool calls as they
// are written, once it is clear which tool is called. How the text is cut makes
// no difference to what comes out together. What does not begin as a tool call
// is text: nothing that a model wrote is lost. Arguments are what the model
// wrote, up to the end of the JSON object; an answer that is cut off inside has
// no more of them.
package reply

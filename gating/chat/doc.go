// Package chat renders conversations into prompts, by the model's own template
// or by a built-in one.
//
// A GGUF file brings its template along as a Jinja program: a stranger's
// program, which may loop for ever or eat all memory. A [Renderer] therefore
// runs it in a process of its own ([Serve] is that process), with limits of
// time, memory and output, and kills it when it passes one. The process starts
// with the first conversation and is used again; it sees no network, no file
// and no other conversation's messages at the same time, and it ends with the
// node.
//
// Where a file has no template, one of a few known formats is used, chosen by
// name or by the special tokens of the vocabulary ([Builtin]); these are our
// own Go and need no process.
//
// [Syntax] tells from a template how its model writes tool calls.
//
// The package knows no model and no tokenizer: text comes out.
package chat

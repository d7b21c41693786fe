// Package synth writes GGUF models with random weights, so that speed and
// plumbing can be tried without a download.
//
// A [Config] says which model: a [expert.Shape], the types of its matrices by
// the name of a quantisation, and a seed. [Named] has the shapes that matter,
// [Write] streams the file. Equal configs give equal bytes.
//
// The file is as complete as a published one, tokenizer included, and loads
// in other programs too. Blocks are made of random bits with scales chosen so
// that activations keep a sane size through all layers; the gate scores spread
// over all experts; the end-of-text tokens never win, so that an answer is as
// long as was asked for. Nothing here starts a goroutine. The text such a
// model writes means nothing.
package synth

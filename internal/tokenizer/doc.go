// Package tokenizer turns text into token ids and token ids into bytes, as
// the metadata of a GGUF file says.
//
// A [Tokenizer] is built from [Metadata], which a GGUF file is. Byte-level BPE
// ("gpt2") cuts text into pieces by the regular expressions of its
// pre-tokeniser and joins the bytes of each piece by rank; SentencePiece
// ("llama") joins runes by score. Control tokens, such as the marks of a chat
// turn, are read out of a text only when the caller says that it may contain
// them.
//
// A Tokenizer does not change once it is built, starts no goroutine and may be
// used by several at once. The bytes it returns are shared: read only.
//
// SentencePiece and the regular expressions are libraries (those of ollama).
// BPE's joining is done here, since ollama's takes equal pairs in any order,
// where every other implementation takes the leftmost first: "aaaaa" becomes
// "aa a aa" there, "aa aa a" elsewhere.
//
// The package applies no chat template and does not make text of tokens:
// bytes of one token may end inside a UTF-8 sequence, which is the business of
// prompt.Text.
package tokenizer

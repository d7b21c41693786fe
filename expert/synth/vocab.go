package synth

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Token types of tokenizer.ggml.token_type.
const (
	tokenNormal  int32 = 1
	tokenControl int32 = 3
)

// controlTokens end the vocabulary.
const controlTokens = 3

// minVocab has all bytes, one merged token and the control tokens.
const minVocab = 256 + 1 + controlTokens

// vocabKVs describe a byte-level BPE of n tokens: any text can be written with
// the 256 byte tokens; one merge shows that merges work; the rest are words
// that a random model may say but that no text is split into.
func vocabKVs(n int) []gguf.KV {
	tokens := byteTokens()
	tokens = append(tokens, "Ġw")
	for i := len(tokens); i < n-controlTokens; i++ {
		tokens = append(tokens, fmt.Sprintf("Ġw%d", i))
	}
	end := uint32(len(tokens))
	tokens = append(tokens, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
	types := make([]int32, n)
	for i := range types {
		types[i] = tokenNormal
		if i >= n-controlTokens {
			types[i] = tokenControl
		}
	}
	return []gguf.KV{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "qwen2"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: []string{"Ġ w"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: end},
		{Key: "tokenizer.ggml.eos_token_id", Value: end},
		{Key: "tokenizer.ggml.eot_token_id", Value: end + 2},
		{Key: "tokenizer.ggml.padding_token_id", Value: end},
		{Key: "tokenizer.ggml.add_bos_token", Value: false},
		{Key: "tokenizer.chat_template", Value: chatML},
	}
}

const chatML = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

// byteTokens are GPT-2's letters for the 256 bytes: printable ones stand for
// themselves, the others for letters from U+0100 on.
func byteTokens() []string {
	var tokens, others []string
	next := rune(0x100)
	for b := range rune(256) {
		switch {
		case b >= '!' && b <= '~', b >= 0xa1 && b <= 0xac, b >= 0xae:
			tokens = append(tokens, string(b))
		default:
			others = append(others, string(next))
			next++
		}
	}
	return append(tokens, others...)
}

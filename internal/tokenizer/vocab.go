package tokenizer

import (
	"fmt"
	"strings"
)

// Metadata is what the package reads of a GGUF file. ok is false when the key
// is missing or holds another type.
type Metadata interface {
	String(key string) (s string, ok bool)
	Strings(key string) (s []string, ok bool)
	Ints(key string) (n []int64, ok bool)
	Floats(key string) (x []float32, ok bool)
	Uint(key string) (n uint64, ok bool)
	Bool(key string) (v, ok bool)
}

// kind is a token's type, numbered as in the file.
type kind uint8

const (
	kindNormal  kind = 1
	kindUnknown kind = 2 // stands for what the vocabulary cannot say
	kindControl kind = 3 // a mark that is no text
	kindUser    kind = 4 // text that is found before anything is split
	kindUnused  kind = 5
	kindByte    kind = 6 // <0x0A>: one byte, in SentencePiece
)

// vocab is the checked vocabulary.
type vocab struct {
	texts []string         // as in the file: mapped bytes in BPE, ▁ for a space in SentencePiece
	kinds []kind           // len(texts)
	ids   map[string]int32 // text -> id; empty texts have none
}

func readVocab(m Metadata) (*vocab, error) {
	texts, ok := m.Strings("tokenizer.ggml.tokens")
	if !ok || len(texts) == 0 {
		return nil, fmt.Errorf("tokenizer.ggml.tokens is missing or empty: convert the model again, with its vocabulary")
	}
	if len(texts) > MaxTokens {
		return nil, fmt.Errorf("tokenizer.ggml.tokens has %d tokens, want at most %d", len(texts), MaxTokens)
	}
	v := &vocab{texts: texts, kinds: make([]kind, len(texts)), ids: make(map[string]int32, len(texts))}
	for i, s := range texts {
		if len(s) > MaxTokenBytes {
			return nil, fmt.Errorf("token %d has %d bytes, want at most %d", i, len(s), MaxTokenBytes)
		}
		if s == "" {
			continue // some converters fill up the vocabulary so; never met in a text
		}
		if first, ok := v.ids[s]; ok {
			return nil, fmt.Errorf("tokens %d and %d are both %.40q", first, i, s)
		}
		v.ids[s] = int32(i)
	}
	return v, v.readKinds(m)
}

func (v *vocab) readKinds(m Metadata) error {
	kinds, ok := m.Ints("tokenizer.ggml.token_type")
	if ok && len(kinds) != len(v.texts) {
		return fmt.Errorf("tokenizer.ggml.token_type has %d entries for %d tokens", len(kinds), len(v.texts))
	}
	for i := range v.kinds {
		v.kinds[i] = kindNormal
		if ok {
			k := kinds[i]
			if k < int64(kindNormal) || k > int64(kindByte) {
				k = int64(kindUnused) // as llama.cpp: neither text nor mark
			}
			v.kinds[i] = kind(k)
		}
	}
	return nil
}

// special reports whether the token is found in a text as a whole, before the
// text is split; marks tells those that are no text.
func (v *vocab) special(id int) (special, mark bool) {
	k := v.kinds[id]
	mark = k == kindControl || k == kindUnknown
	return (mark || k == kindUser) && v.texts[id] != "", mark
}

// idAt reads a token id from metadata. An id beyond the vocabulary counts as
// missing: such files exist, and llama.cpp reads them so.
func (v *vocab) idAt(m Metadata, key string) (int32, bool) {
	n, ok := m.Uint(key)
	if !ok || n >= uint64(len(v.texts)) {
		return 0, false
	}
	return int32(n), true
}

// endNames are tokens that end a text by their name alone. The list is
// llama.cpp's: files often name only one of several in their metadata.
func endNames() []string {
	return []string{
		"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>",
		"<|eom_id|>", "<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
	}
}

// readEnds finds the tokens that end a text and makes control tokens of those
// known by name.
func (v *vocab) readEnds(m Metadata) map[int32]bool {
	ends := make(map[int32]bool)
	for _, name := range endNames() {
		if id, ok := v.ids[name]; ok {
			ends[id] = true
			v.kinds[id] = kindControl
		}
	}
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		if id, ok := v.idAt(m, "tokenizer.ggml."+key); ok {
			ends[id] = true
		}
	}
	more, _ := m.Ints("tokenizer.ggml.eos_token_ids")
	for _, id := range more {
		if id >= 0 && id < int64(len(v.texts)) {
			ends[int32(id)] = true
		}
	}
	v.exceptHarmony(ends)
	return ends
}

// exceptHarmony: in the Harmony format <|end|> closes one message of several,
// and <|return|> or <|call|> ends the answer.
func (v *vocab) exceptHarmony(ends map[int32]bool) {
	end, ok1 := v.ids["<|end|>"]
	_, ok2 := v.ids["<|return|>"]
	_, ok3 := v.ids["<|call|>"]
	if ok1 && ok2 && ok3 {
		delete(ends, end)
		v.kinds[end] = kindUser
	}
}

// byteOf reads the text of a byte token, <0x0A>.
func byteOf(text string) (byte, bool) {
	if len(text) != 6 || !strings.HasPrefix(text, "<0x") || text[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexDigit(text[3])
	lo, ok2 := hexDigit(text[4])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

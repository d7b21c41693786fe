package tokenizer

import (
	"strings"
	"testing"
)

// Neither metadata nor text, however odd, make the package panic, and what is
// encoded comes back.
func FuzzNew(f *testing.F) {
	f.Add("gpt2", "qwen2", "ab\nabc", "a b\nab c", "\x01\x01", true, uint16(0), "abcabc <|im_end|>")
	f.Add("gpt2", "llama-bpe", "<s>\n\nx", "", "\x03", true, uint16(1), "<s>x\xff")
	f.Add("llama", "", "▁a\naa", "", "\x01\x04", false, uint16(2), " aaa")
	f.Add("llama", "", "a", "", "", true, uint16(300), "")
	f.Add("gpt2", "deepseek-llm", "日\nĠa", "Ġ a\nĠa Ġ", "\x06\x09", true, uint16(9), "a  日 a \n")
	f.Fuzz(func(t *testing.T, model, pre, tokens, merges, kinds string, bytes bool, id uint16, text string) {
		m := meta{}.with("tokens", []string{}, "merges", []string{})
		if bytes && model == "gpt2" {
			m = byteMeta(nil)
		} else if bytes {
			m = spmMeta()
		}
		all, _ := m.Strings("tokens")
		all = append(all, strings.Split(tokens, "\n")...)
		types := make([]int64, len(all))
		given, _ := m.Ints("token_type")
		for i := range types {
			types[i] = int64(kindNormal)
			if i < len(given) {
				types[i] = given[i]
			} else if j := i - (len(all) - len(kinds)); j >= 0 {
				types[i] = int64(kinds[j])
			}
		}
		m = m.with("model", model, "pre", pre, "tokens", all, "token_type", types, "scores", make([]float32, len(all)),
			"bos_token_id", int(id), "eos_token_id", int(id)+1, "eos_token_ids", []int64{int64(id) - 5})
		if merges != "" {
			m = m.with("merges", strings.Split(merges, "\n"))
		}
		tok, err := New(m)
		if err != nil {
			return
		}
		for _, special := range []bool{false, true} {
			ids, err := tok.Encode(text, special)
			if err != nil {
				continue
			}
			for _, id := range ids {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("token %d of %d", id, tok.Size())
				}
				tok.EndsText(id)
				tok.Bytes(id)
			}
			if want := string([]rune(text)); model == "gpt2" && bytes && kinds == "" && !special && joined(tok, ids) != want {
				t.Fatalf("%q comes back as %q", text, joined(tok, ids))
			}
		}
	})
}

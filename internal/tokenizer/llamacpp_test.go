package tokenizer

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

var renew = flag.Bool("renew", false, "ask llama.cpp again and write testdata/llamacpp.json; needs npm install --ignore-scripts in internal/oracle")

const goldenFile = "testdata/llamacpp.json"

// asked is what llama.cpp says to one vocabulary, for each of the texts.
type asked struct {
	Plain   [][]int32 `json:"plain"`
	Special [][]int32 `json:"special"`
	Begins  bool      `json:"begins"`
}

// hardTexts are what tokenizers differ on: scripts, marks, white space, digits,
// case, code. What is no UTF-8 cannot be asked of llama.cpp through node.
func hardTexts() []string {
	return []string{
		"", " ", "a", "func main() {\n\tfmt.Println(\"hi\")\n}\n", "I'LL we've IT'S don'T 'sx", "x = 1234567 + 89.01e-5;",
		"  two\n\n   three\t\t\r\n end  ", "a   b\n \n  c", "aaaaaaa bbbb ===== ------ ...", "größer NAÏVE Ünïcödé É",
		"日本語のテキストと中文。한국어", "Привет, мир! Ελληνικά", "🙂👩\u200d👧 emoji 🇫🇷", "nbsp\u00a0here\u3000wide\u2028line",
		"e\u0301 ½ Ⅷ ٣٤٥ १२३", "$9.99 (50%) #tag @you a_b-c", "\u0001\u007f ctl\v\f\u0085", "https://go.dev/ref?q=a%20b&x=1#y",
		`{"k": [1, 2.5, null, true]}`, "CamelCase snake_case kebab-case SHOUT", "the quick  brown   fox    jumps",
		"«guillemets» “quotes” — dash…", "ſtraße ǅ ʰ ﬁ Ａｂ１２", "trailing spaces   ",
		"العربية: مرحباً بالعالم", "עברית שָׁלוֹם", "हिन्दी में लिखा हुआ", "ภาษาไทยไม่มีช่องว่าง", "Tiếng Việt có dấu", "ქართული ენა",
		"\ufffd lone \ufeffbom\u200b zero", "\t\tif (x<<2 && y>>=3) { return !z; } // ok\n", "#!/bin/sh\nset -eu\n\n\n\necho \"$1\"\n",
		"1,234.5678 12 345 6789012", "100\u202f000 €", "x²+y³=z₄", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠜎", "👍🏽👍🏿 ❤️", "\r\n\r\n \r", "a\u0300\u0301\u0302b", "<|user|> hi <s> there </s><|end|>",
		"don’t can’t WON’T", "'S'T'RE'VE'M'LL'D", "ＦＵＬＬ ｗｉｄｔｈ", "İstanbul ıspanak", "~~~ ^^^ ``` |||", "_under_ -dash- *star*", "Zürich–Basel\u00adSoft",
	}
}

// spmPieces makes a vocabulary of what occurs in the texts: every run of up to
// five letters within a word, in an order without rhyme or reason.
func spmPieces() []string {
	seen := map[string]bool{}
	for _, text := range hardTexts() {
		for _, word := range strings.SplitAfter(strings.ReplaceAll(text, " ", "▁"), "\n") {
			runes := []rune(word)
			for i := range runes {
				for n := 1; n <= 5 && i+n <= len(runes); n++ {
					if s := string(runes[i : i+n]); (len(s)*7+i)%3 > 0 && !strings.ContainsAny(s, "\ufffd<") {
						seen[s] = true
					}
				}
			}
		}
	}
	pieces := slices.Sorted(maps.Keys(seen))
	for i := range pieces {
		j := i * 40503 % len(pieces)
		pieces[i], pieces[j] = pieces[j], pieces[i]
	}
	return pieces
}

// marked adds control and user-defined tokens at the end of a vocabulary.
func marked(m meta) meta {
	tokens, _ := m.Strings("tokenizer.ggml.tokens")
	if model, _ := m.String("tokenizer.ggml.model"); model == "gpt2" {
		m = m.with("bos_token_id", len(tokens)+1)
	}
	kinds, ok := m.Ints("tokenizer.ggml.token_type")
	if !ok {
		kinds = slices.Repeat([]int64{1}, len(tokens))
	}
	if scores, ok := m.Floats("tokenizer.ggml.scores"); ok {
		m = m.with("scores", append(slices.Clone(scores), 0, 0))
	}
	return m.with("tokens", append(slices.Clone(tokens), "<|user|>", "<|end|>"), "token_type", append(slices.Clone(kinds), 4, 3))
}

// vocabularies are those that llama.cpp is asked about, by name.
func vocabularies() map[string]meta {
	all := map[string]meta{}
	for _, pre := range knownPres() {
		all[pre] = marked(pairMeta().with("pre", pre))
	}
	spm := marked(spmMeta(spmPieces()...))
	all["SentencePiece"] = spm
	all["SentencePiece, no space before"] = spm.with("add_space_prefix", false)
	all["SentencePiece, no begin"] = spm.with("add_bos_token", false)
	return all
}

// knownPres names pre-tokenisers: at least one for each set of rules.
func knownPres() []string {
	return []string{"default", "gpt-2", "olmo", "starcoder", "refact", "smollm", "falcon", "llama-bpe", "dbrx", "glm4", "chatglm-bpe",
		"qwen2", "hunyuan", "deepseek-llm", "deepseek-coder", "deepseek-v3", "gpt-4o", "minimax-m2", "tekken", "bailingmoe", "kimi-k2",
		"seed-coder", "bloom", "viking"}
}

// pairMeta is a vocabulary of byte-level BPE. As any two bytes can be joined, in
// an order without rhyme or reason, a piece that is cut elsewhere nearly always
// becomes other tokens.
func pairMeta() meta {
	var more, merges []string
	for i := range 1 << 16 {
		p := i * 40503 % (1 << 16)
		a, b := string(runeOf(byte(p>>8))), string(runeOf(byte(p)))
		more, merges = append(more, a+b), append(merges, a+" "+b)
	}
	return byteMeta(more, merges...)
}

// TestRenew asks llama.cpp, when told to.
func TestRenew(t *testing.T) {
	if !*renew {
		t.Skip("without -renew")
	}
	type question struct {
		Name  string   `json:"name"`
		File  string   `json:"file"`
		Texts []string `json:"texts"`
	}
	var all []question
	dir := t.TempDir()
	vocabs := vocabularies()
	for i, name := range slices.Sorted(maps.Keys(vocabs)) {
		path := filepath.Join(dir, fmt.Sprint(i, ".gguf"))
		if err := os.WriteFile(path, vocabFile(t, vocabs[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, question{name, path, hardTexts()})
	}
	in, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "../oracle/tokenize.mjs")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "{"), "}"))
	}
	if err := os.WriteFile(goldenFile, []byte("{\n"+strings.Join(lines, ",\n")+"\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// vocabFile is a GGUF file with a vocabulary and nothing else.
func vocabFile(t *testing.T, m meta) []byte {
	kvs := []gguf.KV{{Key: "general.architecture", Value: "llama"}, {Key: "llama.context_length", Value: uint32(64)},
		{Key: "llama.embedding_length", Value: uint32(32)}, {Key: "llama.block_count", Value: uint32(1)},
		{Key: "llama.feed_forward_length", Value: uint32(32)}, {Key: "llama.attention.head_count", Value: uint32(1)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v := m[key]
		switch x := v.(type) {
		case []int64: // token types
			v = make([]int32, len(x))
			for i := range x {
				v.([]int32)[i] = int32(x[i])
			}
		case int:
			v = uint32(x)
		case uint64:
			v = uint32(x)
		}
		kvs = append(kvs, gguf.KV{Key: key, Value: v})
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, kvs, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEqualsLlamaCpp: every pre-tokeniser and SentencePiece give llama.cpp's
// ids, except where llama.cpp simplifies the model's own expressions.
func TestEqualsLlamaCpp(t *testing.T) {
	raw, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]asked
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	texts := hardTexts()
	for name, m := range vocabularies() {
		want, ok := golden[name]
		if !ok {
			t.Errorf("%s: llama.cpp has not been asked: make oracle", name)
			continue
		}
		tok := mustNew(t, m)
		if begins := len(tok.begin) > 0; begins != want.Begins {
			t.Errorf("%s: begins a text: %v, llama.cpp: %v", name, begins, want.Begins)
		}
		for i, text := range texts {
			plain, err := tok.Encode(text, false)
			if err != nil {
				t.Errorf("%s: %q: %v", name, text, err)
			}
			special, err := tok.Encode(text, true)
			if err != nil {
				t.Errorf("%s: %q: %v", name, text, err)
			}
			special = special[len(tok.begin):]
			if same := slices.Equal(plain, want.Plain[i]) && slices.Equal(special, want.Special[i]); same == slices.Contains(simplified(name), text) {
				t.Errorf("%s: %q: got %v and %v; llama.cpp has %v and %v", name, text, plain, special, want.Plain[i], want.Special[i])
			}
		}
	}
}

// simplified lists the texts that llama.cpp cuts otherwise than the models'
// own tokenizers, because it simplifies their expressions.
func simplified(name string) []string {
	switch name {
	case "tekken", "gpt-4o", "minimax-m2": // it knows the case of ASCII letters only, and no marks as parts of words
		return []string{"größer NAÏVE Ünïcödé É", "e\u0301 ½ Ⅷ ٣٤٥ १२३", "עברית שָׁלוֹם", "हिन्दी में लिखा हुआ", "ภาษาไทยไม่มีช่องว่าง"}
	case "kimi-k2": // the same, and "CamelCase" is one word to it
		return append(simplified("tekken")[1:], "CamelCase snake_case kebab-case SHOUT")
	case "deepseek-llm", "deepseek-coder": // white space of ASCII only
		return []string{"nbsp\u00a0here\u3000wide\u2028line"}
	case "SentencePiece", "SentencePiece, no space before", "SentencePiece, no begin":
		// It joins pieces of plain text to a control token, which then is one.
		return []string{"<|user|> hi <s> there </s><|end|>"}
	}
	return nil
}

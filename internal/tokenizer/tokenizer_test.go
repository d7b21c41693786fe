package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

var _ Metadata = (*gguf.File)(nil)

// meta is metadata written out in a test.
type meta map[string]any

func value[T any](m meta, key string) (T, bool) {
	v, ok := m["tokenizer.ggml."+strings.TrimPrefix(key, "tokenizer.ggml.")].(T)
	return v, ok
}

func (m meta) String(key string) (string, bool)    { return value[string](m, key) }
func (m meta) Strings(key string) ([]string, bool) { return value[[]string](m, key) }
func (m meta) Ints(key string) ([]int64, bool)     { return value[[]int64](m, key) }
func (m meta) Floats(key string) ([]float32, bool) { return value[[]float32](m, key) }
func (m meta) Uint(key string) (uint64, bool)      { n, ok := value[int](m, key); return uint64(n), ok }
func (m meta) Bool(key string) (bool, bool)        { return value[bool](m, key) }

// with returns a copy of m with some values changed; nil removes one.
func (m meta) with(kv ...any) meta {
	c := make(meta)
	for k, v := range m {
		c[k] = v
	}
	for i := 0; i < len(kv); i += 2 {
		c["tokenizer.ggml."+kv[i].(string)] = kv[i+1]
	}
	return c
}

// byteMeta is a BPE vocabulary of the 256 bytes, then more tokens, with merges
// as "left right" in plain ASCII.
func byteMeta(more []string, merges ...string) meta {
	var tokens []string
	for c := range 256 {
		tokens = append(tokens, string(runeOf(byte(c))))
	}
	return meta{}.with("model", "gpt2", "pre", "qwen2", "tokens", append(tokens, more...), "merges", merges)
}

// spmMeta is a SentencePiece vocabulary: <unk>, <s>, </s>, 256 bytes, then
// more tokens, the earlier the better.
func spmMeta(more ...string) meta {
	tokens, kinds := []string{"<unk>", "<s>", "</s>"}, []int64{2, 3, 3}
	for c := range 256 {
		tokens, kinds = append(tokens, fmt.Sprintf("<0x%02X>", c)), append(kinds, 6)
	}
	scores := make([]float32, len(tokens)+len(more))
	for i, s := range more {
		tokens, kinds = append(tokens, s), append(kinds, 1)
		scores[len(tokens)-1] = -float32(i)
	}
	return meta{}.with("model", "llama", "tokens", tokens, "token_type", kinds, "scores", scores, "bos_token_id", 1, "eos_token_id", 2)
}

func mustNew(t testing.TB, m Metadata) *Tokenizer {
	t.Helper()
	tok, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func demoTokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	b := demo.GGUF()
	f, err := gguf.Parse(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return mustNew(t, f)
}

// joined is the bytes of all tokens.
func joined(t *Tokenizer, ids []int32) string {
	var b []byte
	for _, id := range ids {
		b = append(b, t.Bytes(id)...)
	}
	return string(b)
}

// The golden file's ids come from llama.cpp and from Hugging Face's
// tokenizers, which agree on them.
func TestGolden(t *testing.T) {
	raw, err := os.ReadFile("../demo/testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	type text struct {
		Text string
		IDs  []int32
	}
	var golden struct{ Tokenisation, Prompts []text }
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Tokenisation) != 28 || len(golden.Prompts) != 11 {
		t.Fatalf("golden file has %d strings and %d prompts", len(golden.Tokenisation), len(golden.Prompts))
	}
	tok := demoTokenizer(t)
	check := func(g text, special bool) {
		ids, err := tok.Encode(g.Text, special)
		if err != nil || !slices.Equal(ids, g.IDs) {
			t.Errorf("%q: got %v, %v; want %v", g.Text, ids, err, g.IDs)
		}
		if !special && joined(tok, ids) != g.Text {
			t.Errorf("%q comes back as %q", g.Text, joined(tok, ids))
		}
	}
	for _, g := range golden.Tokenisation {
		check(g, false)
	}
	for _, g := range golden.Prompts {
		check(g, true)
	}
}

func TestDemo(t *testing.T) {
	tok := demoTokenizer(t)
	if tok.Size() != 4096 {
		t.Errorf("Size = %d", tok.Size())
	}
	for id := int32(-1); id <= 4096; id++ {
		if got, want := tok.EndsText(id), id == 4093 || id == 4095; got != want {
			t.Errorf("EndsText(%d) = %v", id, got)
		}
		if got, want := len(tok.Bytes(id)) == 0, id < 0 || id > 4092; got != want {
			t.Errorf("Bytes(%d) = %q", id, tok.Bytes(id))
		}
	}
}

func TestSpecialTokens(t *testing.T) {
	m := byteMeta([]string{"<a>", "<a>b", "user", "<eos>", "é!"})
	kinds := make([]int64, 261)
	for i := range kinds {
		kinds[i] = 1
	}
	copy(kinds[256:], []int64{3, 3, 4, 3, 4})
	tok := mustNew(t, m.with("token_type", kinds, "bos_token_id", 256, "eos_token_id", 259, "add_bos_token", true, "add_eos_token", true))
	for _, c := range []struct {
		text    string
		special bool
		want    []int32
	}{
		{"", true, []int32{256, 259}},
		{"", false, nil},
		{"x<a>", true, []int32{256, 'x', 256, 259}},
		{"x<a>", false, []int32{'x', '<', 'a', '>'}},
		{"<a>b<a>a", true, []int32{256, 257, 256, 'a', 259}}, // the longest at each place
		{"user<a", false, []int32{258, '<', 'a'}},
		{"use", true, []int32{256, 'u', 's', 'e', 259}},
		{"é!é", false, []int32{260, 0xc3, 0xa9}},
	} {
		if ids, err := tok.Encode(c.text, c.special); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("Encode(%q, %v) = %v, %v; want %v", c.text, c.special, ids, err, c.want)
		}
	}
	if got := joined(tok, []int32{256, 258, 259, 260, 0xc3}); got != "useré!\xc3" {
		t.Errorf("bytes %q", got)
	}
	if ids, _ := tok.Encode("a\xffb", false); joined(tok, ids) != "a\ufffdb" {
		t.Errorf("a byte that is not UTF-8 becomes %q", joined(tok, ids))
	}
}

func TestEndsText(t *testing.T) {
	tokens := []string{"<|im_end|>", "<|end|>", "eos", "eot", "more", "plain"}
	m := byteMeta(tokens).with("eos_token_id", 258, "eot_token_id", 259, "eom_token_id", 1<<30, "eos_token_ids", []int64{-1, 260, 1 << 40})
	tok := mustNew(t, m)
	for id, want := range map[int32]bool{256: true, 257: true, 258: true, 259: true, 260: true, 261: false, 'a': false, -1: false, 1 << 30: false} {
		if tok.EndsText(id) != want {
			t.Errorf("EndsText(%d) = %v", id, !want)
		}
	}
	if b := tok.Bytes(256); len(b) != 0 {
		t.Errorf("<|im_end|> has the bytes %q although it is a control token by its name", b)
	}
	tok = mustNew(t, byteMeta([]string{"<|end|>", "<|return|>", "<|call|>"}))
	if tok.EndsText(256) || !tok.EndsText(257) || !tok.EndsText(258) {
		t.Error("in the Harmony format <|return|> and <|call|> end the answer, <|end|> does not")
	}
}

func TestNewRefuses(t *testing.T) {
	bpe, spm := byteMeta([]string{"ab"}, "a b"), spmMeta("a")
	for _, c := range []struct {
		want string
		m    meta
	}{
		{"model is missing", bpe.with("model", nil)},
		{`model is "bert"`, bpe.with("model", "bert")},
		{"tokens is missing or empty", bpe.with("tokens", nil)},
		{"tokens is missing or empty", bpe.with("tokens", []string{})},
		{"tokens has 1048577", bpe.with("tokens", make([]string, MaxTokens+1))},
		{"token 0 has 1025 bytes", bpe.with("tokens", []string{strings.Repeat("a", MaxTokenBytes+1)})},
		{`tokens 0 and 2 are both "a"`, bpe.with("tokens", []string{"a", "b", "a"})},
		{"token_type has 1 entries for 257", bpe.with("token_type", []int64{1})},
		{`pre-tokeniser "afmoe" is not known`, bpe.with("pre", "afmoe")},
		{"merges is missing", bpe.with("merges", nil)},
		{"merges has 2097153", bpe.with("merges", make([]string, MaxMerges+1))},
		{`merge 0 is ""`, bpe.with("merges", []string{""})},
		{`merge 1 is "ab"`, bpe.with("merges", []string{"a b", "ab"})},
		{`merge 0 is " a"`, bpe.with("merges", []string{" a"})},
		{`merge 0 is "a "`, bpe.with("merges", []string{"a "})},
		{`merge 0 is "`, bpe.with("merges", []string{strings.Repeat("a", MaxTokenBytes) + " b"})},
		{"bos_token_id is missing", bpe.with("add_bos_token", true)},
		{"eos_token_id is missing or beyond", bpe.with("add_eos_token", true, "eos_token_id", 257)},
		{"bos_token_id is missing", bpe.with("pre", "llama-bpe")},
		{"scores has 0 entries", spm.with("scores", nil)},
		{"scores has 3 entries", spm.with("scores", []float32{1, 2, 3})},
		{"no token <0x00>", spm.with("tokens", []string{"a"}, "token_type", nil, "scores", []float32{0})},
	} {
		if _, err := New(c.m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

func TestSentencePiece(t *testing.T) {
	tok := mustNew(t, spmMeta("▁h", "lo", "el", "▁hel", "hel", "▁", "h", "e", "l", "o", "aa", "a"))
	id := func(s string) int32 {
		for i := range int32(tok.Size()) {
			if string(tok.Bytes(i)) == strings.ReplaceAll(s, "▁", " ") && i >= 3+256 {
				return i
			}
		}
		t.Fatalf("no token %q", s)
		return 0
	}
	for _, c := range []struct {
		text    string
		special bool
		want    []int32
	}{
		{"hello", false, []int32{id("▁hel"), id("lo")}},
		{"hello", true, []int32{1, id("▁hel"), id("lo")}},
		{"elh", false, []int32{id("▁"), id("el"), id("h")}},
		{"aaaaa", false, []int32{id("▁"), id("aa"), id("aa"), id("a")}}, // leftmost first
		{"é", false, []int32{id("▁"), 3 + 0xc3, 3 + 0xa9}},
		{"</s>h", true, []int32{1, 2, id("▁h")}},
		{"</s>", false, []int32{id("▁"), 3 + '<', 3 + '/', 3 + 's', 3 + '>'}}, // plain text cannot forge a mark
	} {
		if ids, err := tok.Encode(c.text, c.special); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("Encode(%q, %v) = %v, %v; want %v", c.text, c.special, ids, err, c.want)
		}
	}
	tok = mustNew(t, spmMeta("▁", "h").with("add_space_prefix", false))
	if ids, _ := tok.Encode("</s>", false); slices.Contains(ids, 2) {
		t.Errorf("plain text %q gives %v, with a control token", "</s>", ids)
	}
	if ids, _ := tok.Encode("h", false); !slices.Equal(ids, []int32{260}) {
		t.Errorf("without space prefix %v", ids)
	}
}

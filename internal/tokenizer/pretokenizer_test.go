package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func preNames() []string {
	return []string{
		"", "default", "qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "grok-2",
		"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe", "glm4", "chatglm-bpe",
		"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "gigachat", "a.x-4.0", "mellum", "granite-docling",
		"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
		"falcon", "deepseek-v3", "hunyuan-dense", "deepseek-llm", "deepseek-coder", "bailingmoe", "bailingmoe2", "llada-moe", "seed-coder",
		"tekken", "gpt-4o", "llama4", "minimax-m2", "poro-chat", "bloom", "gpt3-finnish", "viking",
	}
}

func cutText(t testing.TB, pre, text string) []string {
	t.Helper()
	p, err := newPretokenizer(pre)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := p.cut([]rune(text))
	if err != nil {
		t.Fatal(err)
	}
	var pieces []string
	at := 0
	for _, end := range ends {
		pieces = append(pieces, string([]rune(text)[at:end]))
		at = end
	}
	return pieces
}

func TestPretokenizers(t *testing.T) {
	for _, c := range []struct {
		pre, text string
		want      []string
	}{
		{"qwen2", "I'LL pay  $123.\n\n x", []string{"I", "'LL", " pay", " ", " $", "1", "2", "3", ".\n\n", " x"}},
		{"llama-bpe", "12345 it's", []string{"123", "45", " it", "'s"}},
		{"gpt-2", "12345 it's  IT'S\n", []string{"12345", " it", "'s", " ", " IT", "'", "S", "\n"}},
		{"starcoder", "x12 y", []string{"x", "1", "2", " y"}},
		{"default", "ab12345, c", []string{"ab", "123", "45", ",", " c"}},
		{"deepseek-v3", "f(x)=12345日本a", []string{"f", "(x", ")=", "123", "45", "日本", "a"}},
		{"deepseek-llm", "a 中b12  ", []string{"a", " ", "中", "b", "12", "  "}},
		{"tekken", "HelloWorld ABCdef1", []string{"Hello", "World", " ABCdef", "1"}},
		{"gpt-4o", "It's HelloWORLD's 1234", []string{"It's", " Hello", "WORLD's", " ", "123", "4"}},
		{"bloom", "a b, c", []string{"a", " b", ",", " c"}},
		// White space is Unicode's: the last of a run goes with no word that is not a space apart.
		{"qwen2", "a\u3000\u3000b\u00a0c", []string{"a", "\u3000", "\u3000b", "\u00a0c"}},
		{"qwen2", "\u017fie 'ſ", []string{"ſie", " '", "ſ"}}, // the long s is no contraction
	} {
		if got := cutText(t, c.pre, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q is cut into %q, want %q", c.pre, c.text, got, c.want)
		}
	}
}

// Nothing is lost, and no piece is empty, whatever the rules.
func TestPretokenizersKeepEverything(t *testing.T) {
	texts := []string{
		"", " ", "\n", "a", "  \r\n\t \u00a0\u2028x\v\f", "Hello, WORLD's 12345 + ½ Ⅷ ٣٤٥!\n\n  end  ",
		"日本語のテキスト 한국어 русский ελληνικά", "👩\u200d👧 e\u0301 \ufffd \x00\x7f", strings.Repeat(" ", 300) + "x", strings.Repeat("=", 100),
	}
	for _, pre := range preNames() {
		for _, text := range texts {
			pieces := cutText(t, pre, text)
			if got := strings.Join(pieces, ""); got != text {
				t.Errorf("%s: %q comes back as %q", pre, text, got)
			}
			if text != "" && slices.Contains(pieces, "") {
				t.Errorf("%s: %q has an empty piece: %q", pre, text, pieces)
			}
		}
	}
}

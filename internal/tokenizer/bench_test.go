package tokenizer

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// slowTexts are texts of n bytes, among them those that make a careless
// tokenizer quadratic: one piece without end, white space without end,
// control tokens without end.
func slowTexts(t testing.TB, n int) map[string]string {
	t.Helper()
	source, err := os.ReadFile("tokenizer.go")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	letters := make([]byte, n)
	for i := range letters {
		letters[i] = byte('a' + rng.IntN(26))
	}
	repeat := func(s string) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	return map[string]string{
		"source":  repeat(string(source)),
		"letters": string(letters),
		"one":     repeat("a"),
		"spaces":  repeat(" ")[1:] + "x",
		"lines":   repeat(" \n"),
		"digits":  repeat("1"),
		"marks":   repeat("="),
		"control": repeat("<|im_end|>"),
		"almost":  repeat("<|im_end|"),
		"han":     strings.Repeat("日本語", n/9),
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := demoTokenizer(b)
	for name, text := range slowTexts(b, 1<<20) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := tok.Encode(text, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeSentencePiece(b *testing.B) {
	tok := mustNew(b, spmMeta("▁", "a", "aa", "aaaa", "in", "th", "the", "▁the", "er", "re"))
	for name, text := range slowTexts(b, 1<<20) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := tok.Encode(text, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPretokenizers runs every rule set over every kind of text.
func BenchmarkPretokenizers(b *testing.B) {
	for _, pre := range preNames() {
		p, err := newPretokenizer(pre)
		if err != nil {
			b.Fatal(err)
		}
		for name, text := range slowTexts(b, 1<<17) {
			runes := []rune(text)
			b.Run(pre+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if _, err := p.cut(runes); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		demoTokenizer(b)
	}
}

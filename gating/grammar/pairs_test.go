package grammar

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// markedVocabulary has tokens for the letters, and control tokens of which one
// is a mark.
func markedVocabulary(t *testing.T) (*Vocabulary, func(text string) int32) {
	t.Helper()
	tokens := []string{"", "", ""}
	names := map[int32]string{1: "<end>", 2: "<other>"}
	for c := range 256 {
		tokens = append(tokens, string([]byte{byte(c)}))
	}
	tokens = append(tokens, "</v", "\n</v>", "é", "日")
	find := func(text string) int32 {
		for id, s := range tokens {
			if s == text {
				return int32(id)
			}
		}
		for id, s := range names {
			if s == text {
				return id
			}
		}
		t.Fatalf("no token %q", text)
		return 0
	}
	v := NewVocabulary(len(tokens), func(id int32) []byte { return []byte(tokens[id]) }, func(id int32) string { return names[id] }, func(id int32) bool { return id == 0 })
	return v, find
}

// fits tells whether a grammar allows a text; control tokens stand between ‹ and ›.
func fits(t *testing.T, g *Grammar, text string) bool {
	t.Helper()
	v, find := markedVocabulary(t)
	m := NewMatcher(g, v)
	for text != "" {
		one := text[:1]
		if strings.HasPrefix(text, "‹") {
			one = text[:strings.Index(text, "›")+len("›")]
		}
		text = text[len(one):]
		if m.Accept(find(strings.Trim(one, "‹›"))) != nil {
			return false
		}
	}
	return m.Accept(0) == nil
}

func TestPairs(t *testing.T) {
	schema := []byte(`{"type":"object","properties":{"s":{"type":"string"},"n":{"type":"integer"},"e":{"type":"string","enum":["a b","c"]},"d":{"type":"string","format":"date"}},"required":["s"]}`)
	g, err := Choice([]Framed{{Before: "f(" + Mark("<end>"), Schema: schema, After: ")",
		Pairs: &Pairs{Key: "[", Value: "=", Close: "</v>", End: "]", Without: []string{"STOP"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"f(<end>[s=x</v>])":                             true,
		"f(‹<end>›[s=x</v>])":                           true,
		"f([s=x</v>])":                                  false,
		"f(‹<other>›[s=x</v>])":                         false,
		"f(<end>[s=</v>][n=12</v>])":                    true,
		"f(<end>[s=</v>][n=x</v>])":                     false,
		"f(<end>[n=12</v>])":                            false, // s is required
		"f(<end>[s=a</v]b</</v>][e=a b</v>])":           true,
		"f(<end>[s=\"{\n</v>][e=b</v>])":                false,
		"f(<end>[s=STO</v>][d=2020-01-02</v>])":         true,
		"f(<end>[s=SSTOP</v>])":                         false,
		"f(<end>[s=日é</v>])":                            true,
		"f(<end>[s=\xe6\x97</v>])":                      false, // half a character
		"f(<end>[s=x</v>][n=1</v>][e=c</v>][d=2020</v>": false,
	} {
		if got := fits(t, g, text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, bad := range []string{`{"type":"array"}`, `{"properties":{"a":{"type":"string","pattern":"x"}}}`, `{"anyOf":[{"type":"object"}]}`, `{"properties":{"a":{"type":"string","minLength":2}}}`} {
		if _, err := Choice([]Framed{{Before: "f", Schema: []byte(bad), Pairs: &Pairs{Close: "x"}}}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestThinking(t *testing.T) {
	g, err := Thinking("</t>", []Framed{{Schema: []byte(`{"type":"integer"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"hm <</t> </t>\n12": false, "hm <</t>\n12": true, "</t>12": true, "12": false, "x</t>y": false} {
		if got := fits(t, g, text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestUntil compares with a search in the text, over random texts of letters
// that the marks are made of.
func TestUntil(t *testing.T) {
	b := newBuilder()
	b.start = b.until("abab", []string{"bba"}, b.emit(instruction{op: opReturn}))
	g := &Grammar{b.program}
	v, find := markedVocabulary(t)
	rng := rand.New(rand.NewPCG(3, 4))
	bad := regexp.MustCompile("bba")
	for range 3000 {
		s := make([]byte, rng.IntN(12))
		for i := range s {
			s[i] = "abc"[rng.IntN(3)]
		}
		at := bytes.Index(s, []byte("abab"))
		want := at >= 0 && at+4 == len(s) && !bad.Match(s)
		m := NewMatcher(g, v)
		got := true
		for _, c := range s {
			got = got && m.Accept(find(string(c))) == nil
		}
		if got = got && m.Accept(0) == nil; got != want {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	}
}

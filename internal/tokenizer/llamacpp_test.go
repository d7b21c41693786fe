package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// pairMeta is the vocabulary of testdata/llamacpp.json. As any two bytes can
// be joined, in an order without rhyme or reason, a piece that is cut
// elsewhere nearly always becomes other tokens.
func pairMeta() meta {
	var more, merges []string
	for i := range 1 << 16 {
		p := i * 40503 % (1 << 16)
		a, b := string(runeOf(byte(p>>8))), string(runeOf(byte(p)))
		more, merges = append(more, a+b), append(merges, a+" "+b)
	}
	return byteMeta(more, merges...).with("bos_token_id", 0)
}

// Every rule set cuts as llama.cpp does, except where llama.cpp simplifies the
// model's own expressions.
func TestPretokenizersEqualLlamaCpp(t *testing.T) {
	raw, err := os.ReadFile("testdata/llamacpp.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Texts []string
		IDs   map[string][][]int32
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	m := pairMeta()
	beyondASCII := []string{"größer NAÏVE Ünïcödé É", "e\u0301 ½ Ⅷ ٣٤٥ १२३"} // llama.cpp knows upper and lower case of ASCII only there
	spaces := []string{"nbsp\u00a0here\u3000wide\u2028line"}                 // and there white space of ASCII only
	except := map[string][]string{"tekken": beyondASCII, "gpt-4o": beyondASCII, "deepseek-llm": spaces, "deepseek-coder": spaces}
	for pre, all := range golden.IDs {
		tok := mustNew(t, m.with("pre", pre))
		for i, want := range all {
			text := golden.Texts[i]
			ids, err := tok.Encode(text, false)
			if same := err == nil && slices.Equal(ids, want); same == slices.Contains(except[pre], text) {
				t.Errorf("%s: %q: got %v, %v; llama.cpp has %v", pre, text, ids, err, want)
			}
		}
	}
}

package tokenizer

import (
	"strings"
	"testing"
)

func TestAgree(t *testing.T) {
	a := mustNew(t, byteMeta([]string{"ab", "abc"}))
	for name, c := range map[string]struct {
		other meta
		want  string // in the error; empty: none
	}{
		"the same":       {byteMeta([]string{"ab", "abc"}), ""},
		"padded":         {byteMeta([]string{"ab", "abc", "pad1", "pad2"}), ""},
		"another token":  {byteMeta([]string{"ab", "abd"}), "token 257"},
		"another size":   {byteMeta([]string{"zz", "abc"}), "token 256"},
		"far fewer":      {byteMeta(manyTokens(200)), "256 and 456"},
		"another family": {spmMeta("ab"), "token 0"},
	} {
		b := mustNew(t, c.other)
		if name == "far fewer" {
			a := mustNew(t, byteMeta(nil))
			checkAgree(t, name, Agree(a, b), c.want)
			continue
		}
		checkAgree(t, name, Agree(a, b), c.want)
		checkAgree(t, name, Agree(b, a), c.want)
	}
}

func checkAgree(t *testing.T, name string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

func manyTokens(n int) (tokens []string) {
	for i := range n {
		tokens = append(tokens, strings.Repeat("q", i+2))
	}
	return tokens
}

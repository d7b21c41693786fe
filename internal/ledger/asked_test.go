package ledger_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestSalt: what stands for a request or tokens differs with each of them, with
// the salt, and with how many tokens the request is.
func TestSalt(t *testing.T) {
	seen := map[ledger.Hash]string{}
	note := func(what string, h ledger.Hash) {
		t.Helper()
		if other, known := seen[h]; known {
			t.Errorf("%s and %s are one", what, other)
		}
		seen[h] = what
	}
	sessions := map[ledger.Session]bool{}
	for _, s := range []ledger.Salt{{}, {1}, {15: 1}} {
		sessions[s.Session()] = true
		for _, text := range []string{"", "x", "y", "xx"} {
			for _, n := range []int{0, 1, 256} {
				note(text, s.Asked([]byte(text), n))
			}
		}
		for _, tokens := range [][]int32{nil, {0}, {1}, {1, 0}, {256}} {
			note("tokens", s.Tokens(tokens))
		}
	}
	if len(sessions) != 3 {
		t.Errorf("%d names of 3 answers", len(sessions))
	}
}

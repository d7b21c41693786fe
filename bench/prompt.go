package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// promptFor makes a text of n tokens of the model's vocabulary, and its ids:
// words of Go source in random order, which no model has learnt by heart.
func promptFor(m *expert.Model, n int, seed uint64) (string, []int32, error) {
	tok, err := tokenizer.New(m.File())
	if err != nil {
		return "", nil, err
	}
	words := strings.Fields("func main return if err nil for range string int len map type struct interface package import var const case switch default break")
	r := rand.New(rand.NewPCG(seed, 2))
	var (
		text string
		ids  []int32
	)
	for len(ids) < n {
		// The last few tokens are single letters, so as not to overshoot.
		piece := words[r.IntN(len(words))] + " "
		if n-len(ids) < 16 {
			piece = string(rune('A' + r.IntN(26)))
		}
		text += piece
		if ids, err = tok.Encode(text, true); err != nil {
			return "", nil, err
		}
	}
	if len(ids) > n+8 {
		return "", nil, fmt.Errorf("a prompt of %d tokens became one of %d", n, len(ids))
	}
	return text, ids, nil
}

// randomIDs are n tokens of a vocabulary, drawn evenly.
func randomIDs(seed uint64, n, vocab int) []int32 {
	r := rand.New(rand.NewPCG(seed, 1))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(r.IntN(vocab))
	}
	return ids
}

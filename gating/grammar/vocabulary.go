package grammar

import (
	"bytes"
	"cmp"
	"slices"
)

// Vocabulary is the tokens of a model, ordered by their bytes. It is constant.
type Vocabulary struct {
	size   int
	tokens []token // with bytes, in the order of these
	ends   []int32 // tokens that end a text
	bytes  func(id int32) []byte
	isEnd  map[int32]bool
}

// token is one with bytes.
type token struct {
	bytes []byte
	id    int32
	same  int // bytes at its beginning that the token before has too
}

// NewVocabulary orders the tokens 0 to size-1. bytes gives those of a token,
// none for control tokens; ends tells which end a text.
func NewVocabulary(size int, text func(id int32) []byte, ends func(id int32) bool) *Vocabulary {
	v := &Vocabulary{size: size, bytes: text, isEnd: map[int32]bool{}}
	for id := range int32(size) {
		if ends(id) {
			v.ends = append(v.ends, id)
			v.isEnd[id] = true
		} else if b := text(id); len(b) > 0 {
			v.tokens = append(v.tokens, token{bytes: b, id: id})
		}
	}
	slices.SortFunc(v.tokens, func(a, b token) int {
		return cmp.Or(bytes.Compare(a.bytes, b.bytes), cmp.Compare(a.id, b.id))
	})
	for i := 1; i < len(v.tokens); i++ {
		a, b := v.tokens[i-1].bytes, v.tokens[i].bytes
		n := 0
		for n < len(a) && n < len(b) && a[n] == b[n] {
			n++
		}
		v.tokens[i].same = n
	}
	return v
}

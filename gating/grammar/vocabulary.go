package grammar

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Vocabulary is the tokens of a model, ordered by their bytes. It is constant.
type Vocabulary struct {
	size   int
	tokens []token // with bytes, in the order of these
	ends   []int32 // tokens that end a text
	text   func(id int32) []byte
	mark   func(id int32) string
	isEnd  map[int32]bool
}

// token is one with bytes.
type token struct {
	bytes []byte
	id    int32
	same  int // bytes at its beginning that the token before has too
}

// NewVocabulary orders the tokens 0 to size-1. text gives the bytes of a token,
// none for control tokens, and mark the name of these; ends tells which end a
// text.
func NewVocabulary(size int, text func(id int32) []byte, mark func(id int32) string, ends func(id int32) bool) *Vocabulary {
	v := &Vocabulary{size: size, text: text, mark: mark, isEnd: map[int32]bool{}}
	for id := range int32(size) {
		if ends(id) {
			v.ends = append(v.ends, id)
			v.isEnd[id] = true
		} else if b := v.bytes(id); len(b) > 0 {
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

// bytes are what a token adds to a text, as grammars see it.
func (v *Vocabulary) bytes(id int32) []byte {
	b := v.text(id)
	if len(b) == 0 {
		if mark := v.mark(id); mark != "" && !strings.Contains(mark, fence) {
			return []byte(Mark(mark))
		}
		return nil
	}
	if bytes.Contains(b, []byte(fence)) { // a part of no UTF-8
		return nil
	}
	return b
}

package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// bpe is byte-level byte-pair encoding. It works on symbols: numbers for
// strings that merges join. A token's symbol is its id; the numbers from
// len(vocab) on stand for strings that are on the way to a token without being
// one.
type bpe struct {
	pre    pretokenizer
	size   int32             // of the vocabulary
	bytes  [256]int32        // symbol of each byte
	merges map[[2]int32]join // pair of symbols -> what they become
	beyond []string          // the strings of the symbols from size on
	vocab  *vocab            // for pieces that are whole tokens
}

// join says what a pair becomes. The lowest rank is joined first.
type join struct{ rank, symbol int32 }

func newBPE(m Metadata, v *vocab) (*bpe, error) {
	name, _ := m.String("tokenizer.ggml.pre")
	pre, err := newPretokenizer(name)
	if err != nil {
		return nil, err
	}
	merges, ok := m.Strings("tokenizer.ggml.merges")
	if !ok {
		return nil, fmt.Errorf("tokenizer.ggml.merges is missing: convert the model again, with its vocabulary")
	}
	if len(merges) > MaxMerges {
		return nil, fmt.Errorf("tokenizer.ggml.merges has %d entries, want at most %d", len(merges), MaxMerges)
	}
	b := &bpe{pre: pre, size: int32(len(v.texts)), merges: make(map[[2]int32]join, len(merges)), vocab: v}
	virtual := make(map[string]int32)
	symbol := func(s string) int32 {
		if id, ok := v.ids[s]; ok {
			return id
		}
		id, ok := virtual[s]
		if !ok {
			id = b.size + int32(len(b.beyond))
			virtual[s] = id
			b.beyond = append(b.beyond, s)
		}
		return id
	}
	for c := range 256 {
		b.bytes[c] = symbol(string(runeOf(byte(c))))
	}
	for i, s := range merges {
		left, right, ok := cutMerge(s)
		if !ok {
			return nil, fmt.Errorf("merge %d is %.40q, want two strings of at most %d bytes with a space between", i, s, MaxTokenBytes)
		}
		pair := [2]int32{symbol(left), symbol(right)}
		if _, ok := b.merges[pair]; !ok {
			b.merges[pair] = join{rank: int32(i), symbol: symbol(left + right)}
		}
	}
	return b, nil
}

// cutMerge cuts "left right". The first byte is never the space between.
func cutMerge(s string) (left, right string, ok bool) {
	if s == "" {
		return "", "", false
	}
	i := strings.IndexByte(s[1:], ' ') + 1
	if i < 1 || i == len(s)-1 || len(s)-1 > MaxTokenBytes {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// encode appends the tokens of a text without special tokens. The text is
// valid UTF-8.
func (b *bpe) encode(ids []int32, text string) ([]int32, error) {
	runes := []rune(text)
	ends, err := b.pre.cut(runes)
	if err != nil {
		return nil, err
	}
	var w word
	at := 0
	for _, end := range ends {
		n := 0 // bytes of the piece
		for ; at < end; at++ {
			n += utf8.RuneLen(runes[at])
		}
		if ids, err = b.piece(ids, text[:n], &w); err != nil {
			return nil, err
		}
		text = text[n:]
	}
	return ids, nil
}

// piece appends the tokens of one piece.
func (b *bpe) piece(ids []int32, piece string, w *word) ([]int32, error) {
	if b.pre.whole {
		if id, ok := b.vocab.ids[mapBytes(piece)]; ok && b.vocab.kinds[id] == kindNormal {
			return append(ids, id), nil
		}
	}
	w.reset()
	for i := range len(piece) {
		w.push(b.bytes[piece[i]])
	}
	w.join(b.merges)
	for s := range w.symbols() {
		if s < b.size {
			ids = append(ids, s)
			continue
		}
		for _, r := range b.beyond[s-b.size] { // no token after all: its bytes are
			c, _ := byteFor(r)
			if b.bytes[c] >= b.size {
				return nil, fmt.Errorf("the vocabulary has no token for byte 0x%02X, so this text cannot be encoded", c)
			}
			ids = append(ids, b.bytes[c])
		}
	}
	return ids, nil
}

// mapBytes writes a piece as vocabularies do, each byte as a printable rune.
func mapBytes(piece string) string {
	var b strings.Builder
	for i := range len(piece) {
		b.WriteRune(runeOf(piece[i]))
	}
	return b.String()
}

// runeOf gives the printable rune that stands for a byte in the vocabulary:
// itself where Latin-1 has a visible character, else one from U+0100 on.
func runeOf(c byte) rune {
	switch {
	case c <= 0x20:
		return 0x100 + rune(c)
	case c >= 0x7f && c <= 0xa0:
		return 0x121 + rune(c-0x7f)
	case c == 0xad:
		return 0x143
	}
	return rune(c)
}

// byteFor is the inverse of runeOf.
func byteFor(r rune) (c byte, ok bool) {
	switch {
	case r >= 0x100 && r <= 0x120:
		return byte(r - 0x100), true
	case r >= 0x121 && r <= 0x142:
		return byte(r-0x121) + 0x7f, true
	case r == 0x143:
		return 0xad, true
	case r > 0x20 && r < 0x7f, r > 0xa0 && r <= 0xff && r != 0xad:
		return byte(r), true
	}
	return 0, false
}

package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxWord bounds the answers that one word is about.
	MaxWord     = 64
	maxWordBody = 1 + 8*MaxWord + wordFixed + wordEach*MaxWord
	// wordFixed and wordEach bound what is signed of them, which passes through here
	// unread: a bundle of the ledger has 150 bytes for each and 149 besides.
	wordFixed, wordEach = 256, 160
)

// MaxWordStatement is the longest statement about n answers.
func MaxWordStatement(n int) int { return wordFixed + n*wordEach }

// Word is what a holder signs at once about some of its answers on a stream, which
// went before it.
type Word struct {
	IDs       []uint64 // of the calls, ascending, 1 to MaxWord, in the order of the statement
	Statement []byte
}

// AppendWord appends a word. It has the form that [ParseWord] takes if w has.
func AppendWord(b []byte, w Word) []byte {
	b = appendHeader(b, KindWord, 0, 1+8*len(w.IDs)+len(w.Statement))
	b = append(b, uint8(len(w.IDs)))
	for _, id := range w.IDs {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return append(b, w.Statement...)
}

// ParseWord reads the body of a word. The statement shares memory with it. An error
// wraps [ErrFormat].
func ParseWord(body []byte) (Word, error) {
	if len(body) == 0 || body[0] == 0 || body[0] > MaxWord || len(body) < 1+8*int(body[0]) {
		return Word{}, fmt.Errorf("%w: a word of %d bytes", ErrFormat, len(body))
	}
	n := int(body[0])
	w := Word{IDs: make([]uint64, n), Statement: body[1+8*n:]}
	if len(w.Statement) > MaxWordStatement(n) {
		return Word{}, fmt.Errorf("%w: a statement of %d bytes", ErrFormat, len(w.Statement))
	}
	for i := range w.IDs {
		w.IDs[i] = binary.LittleEndian.Uint64(body[1+8*i:])
		if i > 0 && w.IDs[i] <= w.IDs[i-1] {
			return Word{}, fmt.Errorf("%w: a word about call %d behind %d", ErrFormat, w.IDs[i], w.IDs[i-1])
		}
	}
	return w, nil
}

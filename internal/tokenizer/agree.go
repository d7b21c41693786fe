package tokenizer

import (
	"bytes"
	"fmt"
)

// Agree returns an error unless the two tokenizers mean the same by each token
// that both have. One may have more: vocabularies are padded to different
// lengths. They must share nearly all, or hardly anything could be said in
// both.
func Agree(a, b *Tokenizer) error {
	n := min(a.Size(), b.Size())
	if more := max(a.Size(), b.Size()); n < more-more/8 {
		return fmt.Errorf("vocabularies of %d and %d tokens", a.Size(), b.Size())
	}
	for id := range int32(n) {
		if !bytes.Equal(a.Bytes(id), b.Bytes(id)) {
			return fmt.Errorf("token %d is %.40q in one vocabulary and %.40q in the other", id, a.Bytes(id), b.Bytes(id))
		}
	}
	return nil
}

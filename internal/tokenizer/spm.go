package tokenizer

import (
	"fmt"
	"math"

	"github.com/ollama/ollama/tokenizer"
)

// spm is SentencePiece in its BPE form, done by ollama's tokenizer. Special
// tokens never reach it: they are found before, and here their texts are made
// such that no text contains them.
type spm struct {
	lib tokenizer.SentencePiece
	// space: a space goes before the text and after each special token.
	space bool
}

func newSPM(m Metadata, v *vocab) (*spm, error) {
	scores, ok := m.Floats("tokenizer.ggml.scores")
	if !ok || len(scores) != len(v.texts) {
		return nil, fmt.Errorf("tokenizer.ggml.scores has %d entries for %d tokens: convert the model again, with its vocabulary", len(scores), len(v.texts))
	}
	for i, s := range scores {
		if math.IsNaN(float64(s)) {
			return nil, fmt.Errorf("the score of token %d is not a number", i)
		}
	}
	values := make([]string, len(v.texts))
	types := make([]int32, len(v.texts))
	var has [256]bool
	for i, s := range v.texts {
		values[i], types[i] = s, int32(kindNormal)
		if special, _ := v.special(i); special || s == "" {
			values[i] = fmt.Sprintf("\xff%d", i) // not UTF-8, so in no text
		} else if c, ok := byteOf(s); ok {
			has[c] = true
		}
	}
	for c, ok := range has {
		if !ok {
			return nil, fmt.Errorf("the SentencePiece vocabulary has no token <0x%02X>: only vocabularies with all 256 byte tokens are supported", c)
		}
	}
	s := &spm{space: true}
	if v, ok := m.Bool("tokenizer.ggml.add_space_prefix"); ok {
		s.space = v
	}
	s.lib = tokenizer.NewSentencePiece(&tokenizer.Vocabulary{Values: values, Types: types, Scores: scores})
	return s, nil
}

// encode appends the tokens of a text without special tokens. The text is
// valid UTF-8. first: the text begins here, or a special token went before.
func (s *spm) encode(ids []int32, text string, first bool) ([]int32, error) {
	if s.space && first {
		text = " " + text
	}
	more, err := s.lib.Encode(text, false)
	if err != nil {
		return nil, err
	}
	return append(ids, more...), nil
}

package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Tokenizer is one model's tokenizer.
type Tokenizer struct {
	encode func(ids []int32, plain string, first bool) ([]int32, error)

	plain  *finder // special tokens that any text may contain
	all    *finder // these, and the control tokens
	begin  []int32 // goes before a text: the begin-of-text token or nothing
	end    []int32 // goes after it
	ends   map[int32]bool
	marks  map[int32]string // texts of the tokens that are no text
	pieces []byte           // the bytes of all tokens, one after the other
	bounds []uint32         // token i is pieces[bounds[i]:bounds[i+1]]
}

// New builds the tokenizer that the metadata describes. The error says what
// is wrong with the file, or that it is of a kind not supported.
func New(m Metadata) (*Tokenizer, error) {
	model, ok := m.String("tokenizer.ggml.model")
	if !ok {
		return nil, fmt.Errorf("tokenizer.ggml.model is missing: convert the model again, with its vocabulary")
	}
	v, err := readVocab(m)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{ends: v.readEnds(m)} // first: it makes control tokens of some
	switch model {
	case "gpt2":
		b, err := newBPE(m, v)
		if err != nil {
			return nil, err
		}
		t.encode = func(ids []int32, plain string, _ bool) ([]int32, error) { return b.encode(ids, plain) }
		if err := t.readEnclosing(m, v, b.pre.begins); err != nil {
			return nil, err
		}
		t.setPieces(v, bpePiece)
	case "llama":
		s, err := newSPM(m, v)
		if err != nil {
			return nil, err
		}
		t.encode = s.encode
		if err := t.readEnclosing(m, v, true); err != nil {
			return nil, err
		}
		t.setPieces(v, spmPiece)
	default:
		return nil, fmt.Errorf("tokenizer.ggml.model is %.40q: only gpt2 (byte-level BPE) and llama (SentencePiece) are supported", model)
	}
	t.setFinders(v)
	return t, nil
}

// readEnclosing finds what goes before and after a text.
func (t *Tokenizer) readEnclosing(m Metadata, v *vocab, begins bool) error {
	get := func(flag, key string, byDefault bool) ([]int32, error) {
		if set, ok := m.Bool("tokenizer.ggml." + flag); ok {
			byDefault = set
		}
		if !byDefault {
			return nil, nil
		}
		id, ok := v.idAt(m, "tokenizer.ggml."+key)
		if !ok {
			return nil, fmt.Errorf("tokenizer.ggml.%s is missing or beyond the %d tokens: set it, or set %s to false", key, len(v.texts), flag)
		}
		return []int32{id}, nil
	}
	var err error
	if t.begin, err = get("add_bos_token", "bos_token_id", begins); err != nil {
		return err
	}
	t.end, err = get("add_eos_token", "eos_token_id", false)
	return err
}

func (t *Tokenizer) setFinders(v *vocab) {
	t.plain, t.all = newFinder(), newFinder()
	t.marks = make(map[int32]string)
	for i, s := range v.texts {
		special, mark := v.special(i)
		if !special {
			continue
		}
		t.all.add(s, int32(i))
		if mark {
			t.marks[int32(i)] = s
		} else {
			t.plain.add(s, int32(i))
		}
	}
}

// Size is the number of tokens.
func (t *Tokenizer) Size() int { return len(t.bounds) - 1 }

// Encode turns a text into token ids. With special, the text is a prompt:
// control tokens written out in it are those tokens, and the tokens that the
// model wants before and after a text are added. Without, every character is
// plain text. Bytes that are not UTF-8 count as U+FFFD each.
func (t *Tokenizer) Encode(text string, special bool) ([]int32, error) {
	if !utf8.ValidString(text) {
		text = string([]rune(text))
	}
	find := t.plain
	var ids []int32
	if special {
		find = t.all
		ids = append(ids, t.begin...)
	}
	first := true
	for _, p := range find.split(text) {
		if p.mark {
			ids = append(ids, p.id)
			first = true
			continue
		}
		var err error
		if ids, err = t.encode(ids, p.text, first); err != nil {
			return nil, err
		}
		first = false
	}
	if special {
		ids = append(ids, t.end...)
	}
	return ids, nil
}

// Mark returns the text of a token that is no text, such as <|im_end|>, and
// nothing for all others.
func (t *Tokenizer) Mark(id int32) string { return t.marks[id] }

// Bytes returns the bytes that a token adds to a text: none for control
// tokens and for ids that are not in the vocabulary. Read only.
func (t *Tokenizer) Bytes(id int32) []byte {
	if id < 0 || int(id) >= t.Size() {
		return nil
	}
	from, to := t.bounds[id], t.bounds[id+1]
	return t.pieces[from:to:to]
}

// EndsText reports whether the token ends an answer.
func (t *Tokenizer) EndsText(id int32) bool { return t.ends[id] }

// setPieces writes the bytes of all tokens into one block: a vocabulary of
// 150,000 would otherwise be as many small allocations.
func (t *Tokenizer) setPieces(v *vocab, appendPiece func([]byte, string, kind) []byte) {
	t.bounds = make([]uint32, 1, len(v.texts)+1)
	for i, s := range v.texts {
		if v.kinds[i] == kindUser {
			t.pieces = append(t.pieces, s...)
		} else {
			t.pieces = appendPiece(t.pieces, s, v.kinds[i])
		}
		t.bounds = append(t.bounds, uint32(len(t.pieces)))
	}
}

// bpePiece appends the bytes of a token of byte-level BPE.
func bpePiece(b []byte, text string, k kind) []byte {
	if k != kindNormal {
		return b
	}
	for _, r := range text {
		if c, ok := byteFor(r); ok {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, r) // not from the byte alphabet: taken as it is
		}
	}
	return b
}

// spmPiece appends the bytes of a SentencePiece token.
func spmPiece(b []byte, text string, k kind) []byte {
	switch k {
	case kindByte:
		if c, ok := byteOf(text); ok {
			b = append(b, c)
		}
	case kindNormal:
		b = append(b, strings.ReplaceAll(text, "▁", " ")...)
	}
	return b
}

package transcript

import (
	"encoding/binary"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Limits of a transcript that somebody sends.
const (
	MaxTokens  = 1 << 18  // prompt and answer
	MaxRoutes  = 1 << 28  // experts chosen, of all rows and layers: half a gigabyte
	MaxRequest = 10 << 20 // bytes of a request: text, options and a prefix, as far as they travel
	MaxBytes   = 2*MaxRoutes + 8*MaxTokens + MaxRequest + (1 << 20)
)

// Part is a chunk of an answer with what its hashes stand for.
type Part struct {
	Chunk  ledger.Chunk
	Tokens []int32
	Print  Fingerprint // of the rows that led to the tokens
	// Routes are the experts of rows × sparse layers × k, in that order; rows
	// are those that led to the tokens, and of the first part the prompt's
	// before them.
	Routes []uint16
}

// Transcript is a whole answer.
type Transcript struct {
	Salt    ledger.Salt
	Request []byte  // what was asked, as the client sent it
	Prompt  []int32 // what the gate made of it: all that came before the answer
	Greedy  bool    // the answer was drawn at temperature zero
	Parts   []Part
}

// Answer is all tokens of the answer.
func (t *Transcript) Answer() []int32 {
	var all []int32
	for _, p := range t.Parts {
		all = append(all, p.Tokens...)
	}
	return all
}

// hashes are what a chunk says of its part. What was asked is in the first
// one's routing, so that the tokens' hash is of what a client sees alone.
func (t *Transcript) hashes(i int) (tokens, print, routing ledger.Hash) {
	p := &t.Parts[i]
	tokens = t.Salt.Tokens(p.Tokens)
	print = ledger.Sum([]byte("transcript print"), p.Print.append(nil))
	if i > 0 {
		return tokens, print, ledger.Sum([]byte("transcript routes"), appendRoutes(nil, p.Routes))
	}
	return tokens, print, ledger.Sum([]byte("transcript begin"), appendRoutes(t.head(), p.Routes))
}

// head is the part of the encoding before the parts.
func (t *Transcript) head() []byte {
	b := []byte{2, 0}
	if t.Greedy {
		b[1] = 1
	}
	b = append(b, t.Salt[:]...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(t.Request))), t.Request...)
	return appendInts(b, t.Prompt)
}

func appendInts(b []byte, v []int32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, uint32(x))
	}
	return b
}

func appendRoutes(b []byte, v []uint16) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

// Verify checks that the chunks are one chain, signed for a chain of this name,
// and that the parts are what they say. The error says which one is not.
func (t *Transcript) Verify(chain string) error {
	if len(t.Prompt) == 0 || len(t.Parts) == 0 {
		return fmt.Errorf("%w: a transcript of nothing", ledger.ErrMalformed)
	}
	for i := range t.Parts {
		p, first := &t.Parts[i], &t.Parts[0].Chunk
		c := p.Chunk
		prev := t.Salt.Asked(t.Request, len(t.Prompt))
		if i > 0 {
			prev = t.Parts[i-1].Chunk.ID()
		}
		whole := len(p.Tokens) == ledger.ChunkTokens || i == len(t.Parts)-1 && len(p.Tokens) > 0 && len(p.Tokens) < ledger.ChunkTokens
		tokens, print, routing := t.hashes(i)
		switch {
		case !whole:
			return fmt.Errorf("%w: chunk %d has %d tokens", ledger.ErrMalformed, i, len(p.Tokens))
		case c.Index != uint64(i) || c.Prev != prev:
			return fmt.Errorf("%w: chunk %d does not follow the one before, or what was asked", ledger.ErrMalformed, i)
		case c.Session != t.Salt.Session() || c.Gate != first.Gate || c.Client != first.Client || c.Model != first.Model:
			return fmt.Errorf("%w: chunk %d is of another session", ledger.ErrMalformed, i)
		case c.Tokens != tokens || c.Fingerprint != print || c.Routing != routing:
			return fmt.Errorf("%w: chunk %d does not stand for what it came with", ledger.ErrMalformed, i)
		}
		if err := ledger.Verify(chain, c); err != nil {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
	}
	return nil
}

// Encode returns the transcript's bytes.
func (t *Transcript) Encode() []byte {
	b := t.head()
	for i := range t.Parts {
		b = t.Parts[i].append(b)
	}
	return b
}

func (p *Part) append(b []byte) []byte {
	c := ledger.Encode(&p.Chunk)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(c))), c...)
	return appendRoutes(p.Print.append(appendInts(b, p.Tokens)), p.Routes)
}

// Decode reads a transcript. Its form is checked, not its truth.
func Decode(b []byte) (*Transcript, error) {
	t, n, err := decode(b)
	if err == nil && (n < len(b) || len(t.Parts) == 0) {
		err = fmt.Errorf("%w: a transcript that ends early", ledger.ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// decode reads as many whole parts as there are, and says how many bytes they
// are.
func decode(b []byte) (t *Transcript, whole int, err error) {
	if len(b) > MaxBytes || len(b) < 2 || b[0] != 2 || b[1] > 1 {
		return nil, 0, fmt.Errorf("%w: %d bytes are no transcript", ledger.ErrMalformed, len(b))
	}
	t = &Transcript{Greedy: b[1] == 1}
	r := reader{b: b[2:]}
	copy(t.Salt[:], r.take(len(t.Salt)))
	t.Request = r.take(r.count(MaxRequest, 1))
	if t.Prompt = r.ints(MaxTokens); r.err != nil {
		return nil, 0, r.err
	}
	tokens := len(t.Prompt)
	for len(r.b) > 0 {
		whole = len(b) - len(r.b)
		var p Part
		chunk := r.take(int(r.u16()))
		p.Tokens = r.ints(ledger.ChunkTokens)
		if r.err == nil {
			p.Print, r.b, r.err = parseFingerprint(r.b)
		}
		p.Routes = r.routes()
		if r.err != nil {
			return t, whole, nil // the last part is not all there
		}
		if err := ledger.Decode(chunk, &p.Chunk); err != nil {
			return nil, 0, err
		}
		t.Parts = append(t.Parts, p)
		if tokens += len(p.Tokens); tokens > MaxTokens {
			return nil, 0, fmt.Errorf("%w: a transcript of more than %d tokens", ledger.ErrMalformed, MaxTokens)
		}
	}
	return t, len(b), nil
}

// reader reads front to back; after an error it reads nothing.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && (n > len(r.b) || n < 0) {
		r.err = fmt.Errorf("%w: a transcript that ends early", ledger.ErrMalformed)
	}
	if r.err != nil {
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// count reads how many records of at least so many bytes follow.
func (r *reader) count(most, bytes int) int {
	p := r.take(4)
	if p == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(p)
	if int64(n) > int64(most) || int64(n)*int64(bytes) > int64(len(r.b)) {
		r.err = fmt.Errorf("%w: %d records in %d bytes", ledger.ErrMalformed, n, len(r.b))
		return 0
	}
	return int(n)
}

func (r *reader) ints(most int) []int32 {
	p := r.take(4 * r.count(most, 4))
	v := make([]int32, len(p)/4)
	for i := range v {
		v[i] = int32(binary.BigEndian.Uint32(p[4*i:]))
	}
	return v
}

func (r *reader) routes() []uint16 {
	p := r.take(2 * r.count(MaxRoutes, 2))
	v := make([]uint16, len(p)/2)
	for i := range v {
		v[i] = binary.BigEndian.Uint16(p[2*i:])
	}
	return v
}

package toll

import (
	"crypto/ed25519"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Seals is a chain of signed parts of one answer, ledger.ChunkTokens tokens each
// but the last. Two different chains for one answer are proof of a lie.
type Seals struct {
	Chain        string
	Gate, Client ledger.Key
	Model        ledger.Hash
	Salt         ledger.Salt
	Request      []byte // what was asked, as the client sent it
	// Exact says that the answer leaves no expert out, so that its parts must
	// stand for what they can be checked by, too.
	Exact bool
	// Twice hears of two parts that the gating node signed for one place; nil:
	// nobody.
	Twice func(a, b ledger.Chunk)

	tokens int // covered
	signed []ledger.Chunk
}

// Signed lists the parts so far.
func (s *Seals) Signed() []ledger.Chunk { return s.signed }

// next is the part that follows, up to these tokens of the answer to a prompt of
// so many.
func (s *Seals) next(prompt int, tokens []int32, epoch uint64) ledger.Chunk {
	c := ledger.Chunk{
		Gate: s.Gate, Client: s.Client, Model: s.Model, Epoch: epoch, Session: s.Salt.Session(),
		Index: uint64(len(s.signed)), Tokens: s.Salt.Tokens(tokens[s.tokens:]),
	}
	if n := len(s.signed); n > 0 {
		c.Prev = s.signed[n-1].ID()
	} else {
		c.Prev = s.Salt.Asked(s.Request, prompt)
	}
	return c
}

// Sign signs the tokens that are not signed yet, if there are enough of them or
// the answer has ended; nil: not yet. prompt is of how many tokens all is that
// came before them.
func (s *Seals) Sign(prompt int, tokens []int32, ended bool, epoch uint64, key ed25519.PrivateKey) []byte {
	fresh := len(tokens) - s.tokens
	if fresh < ledger.ChunkTokens && !(ended && fresh > 0) {
		return nil
	}
	c := s.next(prompt, tokens, epoch).Sign(s.Chain, key)
	s.signed, s.tokens = append(s.signed, c), len(tokens)
	return ledger.Encode(&c)
}

// Take checks a part that the gating node signed about the tokens that came. It
// may be of an epoch off by one: not everybody hears of a new one at once.
func (s *Seals) Take(statement []byte, prompt int, tokens []int32, epoch uint64) error {
	var c ledger.Chunk
	if err := ledger.Decode(statement, &c); err != nil {
		return fmt.Errorf("a part of the answer is signed wrongly: %w", err)
	}
	s.compare(c)
	if len(tokens) <= s.tokens || c.Epoch+1 < epoch || c.Epoch > epoch+1 {
		return fmt.Errorf("%w: a part of the answer is signed for epoch %d and no tokens", ledger.ErrSignature, c.Epoch)
	}
	if none := (ledger.Hash{}); s.Exact && (c.Fingerprint == none || c.Routing == none) {
		return fmt.Errorf("%w: a part of the answer is signed by its tokens alone, and could not be checked", ledger.ErrSignature)
	}
	want := s.next(prompt, tokens, c.Epoch)
	want.Fingerprint, want.Routing, want.Sig = c.Fingerprint, c.Routing, c.Sig
	if want != c {
		return fmt.Errorf("%w: what the gating node signed is not what it was asked and sent", ledger.ErrSignature)
	}
	if err := ledger.Verify(s.Chain, c); err != nil {
		return err
	}
	s.signed, s.tokens = append(s.signed, c), len(tokens)
	return nil
}

// compare looks for a part that this one contradicts.
func (s *Seals) compare(c ledger.Chunk) {
	for _, old := range s.signed {
		if s.Twice != nil && old.Contradicts(c) && ledger.Verify(s.Chain, c) == nil {
			s.Twice(old, c)
		}
	}
}

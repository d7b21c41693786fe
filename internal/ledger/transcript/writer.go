package transcript

import (
	"crypto/ed25519"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Identity is what all chunks of an answer have in common.
type Identity struct {
	Chain   string
	Key     ed25519.PrivateKey // the gate's
	Client  ledger.Key
	Model   ledger.Hash
	Salt    ledger.Salt
	Request []byte // what was asked, as the client sent it; it is kept, not copied
}

// Writer makes the transcript of an answer as it comes. It belongs to one
// goroutine.
type Writer struct {
	id     Identity
	t      Transcript
	routes []uint16  // of rows that are in no part yet
	tokens []int32   // the same
	rows   []float32 // hidden states, the same
}

// NewWriter begins a transcript.
func NewWriter(id Identity, prompt []int32, greedy bool) *Writer {
	return &Writer{id: id, t: Transcript{Salt: id.Salt, Request: id.Request, Prompt: slices.Clone(prompt), Greedy: greedy}}
}

// Add says that a row with this hidden state led to a token. routes are those of
// that row, and for the first token those of all rows of the prompt before it;
// see [Part]. Every 32 tokens it gives the chunk that is then signed, else nil. The epoch is
// that of the chunk's last token.
func (w *Writer) Add(epoch uint64, token int32, hidden []float32, routes []uint16) *ledger.Chunk {
	w.tokens = append(w.tokens, token)
	w.rows = append(w.rows, hidden...)
	w.routes = append(w.routes, routes...)
	if len(w.tokens) == ledger.ChunkTokens {
		return w.End(epoch)
	}
	return nil
}

// End signs what is left, nil if that is nothing.
func (w *Writer) End(epoch uint64) *ledger.Chunk {
	if len(w.tokens) == 0 {
		return nil
	}
	i := len(w.t.Parts)
	w.t.Parts = append(w.t.Parts, Part{Tokens: w.tokens, Print: Take(w.rows), Routes: w.routes})
	w.tokens, w.rows, w.routes = nil, w.rows[:0], nil
	c := ledger.Chunk{Gate: ledger.KeyOf(w.id.Key), Client: w.id.Client, Model: w.id.Model, Epoch: epoch, Session: w.id.Salt.Session(), Index: uint64(i)}
	if c.Prev = w.t.Salt.Asked(w.t.Request, len(w.t.Prompt)); i > 0 {
		c.Prev = w.t.Parts[i-1].Chunk.ID()
	}
	c.Tokens, c.Fingerprint, c.Routing = w.t.hashes(i)
	c = c.Sign(w.id.Chain, w.id.Key)
	w.t.Parts[i].Chunk = c
	return &c
}

// Transcript is what was written so far, without tokens after the last chunk.
func (w *Writer) Transcript() *Transcript { return &w.t }

package transcript

import (
	"context"
	"crypto/ed25519"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Identity is what all chunks of an answer have in common.
type Identity struct {
	Chain   string
	Key     ed25519.PrivateKey // the gate's
	Client  ledger.Key
	Model   ledger.Hash
	Session ledger.Session
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

// NewWriter begins a transcript. routes are those of all rows of the prompt but
// the last, as [Routes] orders them.
func NewWriter(id Identity, prompt []int32, greedy bool, routes []uint16) *Writer {
	return &Writer{id: id, t: Transcript{Prompt: slices.Clone(prompt), Greedy: greedy}, routes: slices.Clone(routes)}
}

// Add says that a row with this hidden state and these routes led to a token.
// Every 32 tokens it gives the chunk that is then signed, else nil. The epoch is
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
	c := ledger.Chunk{Gate: ledger.KeyOf(w.id.Key), Client: w.id.Client, Model: w.id.Model, Epoch: epoch, Session: w.id.Session, Index: uint64(i)}
	if i > 0 {
		c.Prev = w.t.Parts[i-1].Chunk.ID()
	}
	c.Tokens, c.Fingerprint, c.Routing = w.t.hashes(i)
	c = c.Sign(w.id.Chain, w.id.Key)
	w.t.Parts[i].Chunk = c
	return &c
}

// Transcript is what was written so far, without tokens after the last chunk.
func (w *Writer) Transcript() *Transcript { return &w.t }

// Recorder is a mixer that remembers which experts another one's rule chooses.
// It serves one step at a time.
type Recorder struct {
	trunk.Mixer
	rule   gating.Rule
	layers []int // sparse ones
	rows   int
	chosen []uint16 // (layers, rows, k), of the last step
}

// NewRecorder listens to a model's mixer.
func NewRecorder(m *expert.Model, mixer trunk.Mixer) *Recorder {
	return &Recorder{Mixer: mixer, rule: gating.RuleOf(m), layers: m.Shape().SparseLayers}
}

// Mix implements trunk's Mixer.
func (r *Recorder) Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error {
	at := slices.Index(r.layers, layer)
	k := min(r.rule.TopK, scores.Dim)
	if at == 0 || r.rows != scores.Rows {
		r.rows, r.chosen = scores.Rows, make([]uint16, len(r.layers)*scores.Rows*k)
	}
	counts := make([]int, scores.Rows)
	for _, p := range r.rule.Pick(layer, scores) {
		for _, row := range p.Rows {
			r.chosen[(at*scores.Rows+int(row))*k+counts[row]] = p.Expert
			counts[row]++
		}
	}
	return r.Mixer.Mix(ctx, layer, h, scores, out)
}

// Routes are the experts of a row of the last step, by layer.
func (r *Recorder) Routes(row int) []uint16 {
	if r.rows == 0 || len(r.layers) == 0 {
		return nil
	}
	k := len(r.chosen) / len(r.layers) / r.rows
	var all []uint16
	for at := range r.layers {
		from := (at*r.rows + row) * k
		all = append(all, r.chosen[from:from+k]...)
	}
	return all
}

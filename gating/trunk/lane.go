package trunk

import (
	"context"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// Lane is the working memory of one step under way. Lanes share the trunk's
// weights and the keys and values of its sequences; each advances by itself,
// so that while one waits for its experts others compute. A lane belongs to
// one goroutine at a time, and a slot to one lane's step at a time.
//
// Of all lanes of a trunk one computes at a time, with the whole pool: which
// lets go whenever it waits for experts, and the next goes on in the order in
// which they came. Two computing at once would only push each other out of
// the processor's caches.
type Lane struct {
	*Trunk

	// Scratch of one step, all row-major; Rows is the step's. It grows to the
	// largest step and is then reused.
	x, h    []float32 // (Rows, Dim): residual stream; normed
	q, att  []float32 // (Rows, Heads·HeadDim): queries; attention's answer
	k, v    []float32 // (Rows, KVHeads·HeadDim)
	scores  []float32 // (Rows, Experts)
	logits  []float32 // (len(Step.Logits), Vocab)
	angles  angles    // of the rows' positions
	seqs    []*sequence
	quant   ggml.Rows // the activations of the product at hand
	pending []product
	runPart func(*ggml.Scratch, int) // see run

	compute, experts time.Duration // of the last step
	since            time.Time     // when the lane's turn began
}

// NewLane returns a lane with no scratch yet.
func (t *Trunk) NewLane() *Lane { return &Lane{Trunk: t} }

// Forward runs one step and returns the logits, (len(s.Logits), Vocab), valid
// until the lane's next step. After an error the same step may be run again.
func (t *Lane) Forward(ctx context.Context, s Step) (expert.Batch, error) {
	if err := t.check(s); err != nil {
		return expert.Batch{}, err
	}
	t.compute, t.experts = 0, 0
	t.take()
	defer t.give()
	var err error
	if t.seqs, err = t.kv.prepare(s, t.seqs[:0]); err != nil {
		return expert.Batch{}, err
	}
	t.reserve(s.Rows())
	t.angles.at(&t.rope, s.Positions)
	dim := t.shape.Dim
	for i, token := range s.Tokens {
		t.w.embed.Dequantize(int(token), t.x[i*dim:(i+1)*dim])
	}
	for l := range t.w.layers {
		if err := ctx.Err(); err != nil {
			return expert.Batch{}, err
		}
		t.attention(l, s)
		if err := t.sparse(ctx, l, s.Rows()); err != nil {
			return expert.Batch{}, fmt.Errorf("layer %d: %w", l, err)
		}
	}
	return t.headLogits(s), nil
}

// take waits for the lane's turn to compute, give ends it.
func (t *Lane) take() {
	t.turn <- struct{}{}
	t.since = time.Now()
}

func (t *Lane) give() {
	t.compute += time.Since(t.since)
	<-t.turn
}

// Spent says how long the last step computed, and how long it waited for its
// experts. What it waited for its turn is in neither.
func (t *Lane) Spent() (compute, experts time.Duration) { return t.compute, t.experts }

func (t *Lane) check(s Step) error {
	if s.Rows() == 0 || len(s.Positions) != s.Rows() || len(s.Slots) != s.Rows() {
		return fmt.Errorf("trunk: a step of %d tokens, %d positions, %d slots", s.Rows(), len(s.Positions), len(s.Slots))
	}
	for i, token := range s.Tokens {
		if token < 0 || int(token) >= t.shape.Vocab {
			return fmt.Errorf("trunk: row %d is token %d of a vocabulary of %d", i, token, t.shape.Vocab)
		}
	}
	for _, r := range s.Logits {
		if r < 0 || r >= s.Rows() {
			return fmt.Errorf("trunk: logits of row %d asked of %d rows", r, s.Rows())
		}
	}
	return nil
}

func (t *Lane) reserve(rows int) {
	s := t.shape
	t.x, t.h = grow(t.x, rows*s.Dim), grow(t.h, rows*s.Dim)
	t.q, t.att = grow(t.q, rows*s.Heads*s.HeadDim), grow(t.att, rows*s.Heads*s.HeadDim)
	t.k, t.v = grow(t.k, rows*s.KVHeads*s.HeadDim), grow(t.v, rows*s.KVHeads*s.HeadDim)
	t.scores = grow(t.scores, rows*s.Experts)
}

// sparse adds the experts' answer to the residual stream. While it waits for
// them, other lanes compute.
func (t *Lane) sparse(ctx context.Context, l, rows int) error {
	w, dim := &t.w.layers[l], t.shape.Dim
	t.norm(w.ffnNorm, t.x, t.h, rows)
	t.multiply(t.h, rows, product{w.gate, t.scores})
	t.give()
	began := time.Now()
	out, err := t.mixer.Mix(ctx, l,
		expert.Batch{Rows: rows, Dim: dim, Data: t.h[:rows*dim]},
		expert.Batch{Rows: rows, Dim: t.shape.Experts, Data: t.scores[:rows*t.shape.Experts]})
	t.experts += time.Since(began)
	t.take()
	if err != nil {
		return err
	}
	if out.Rows != rows || out.Dim != dim || len(out.Data) != rows*dim {
		return fmt.Errorf("trunk: mixed rows are (%d, %d), want (%d, %d)", out.Rows, out.Dim, rows, dim)
	}
	ggml.AddScaled(1, out.Data, t.x)
	return nil
}

// headLogits takes the rows that want logits through the last norm and the
// head. It is the last use of the residual stream.
func (t *Lane) headLogits(s Step) expert.Batch {
	dim, vocab, n := t.shape.Dim, t.shape.Vocab, len(s.Logits)
	t.logits = grow(t.logits, n*vocab)
	for i, r := range s.Logits {
		ggml.RMSNorm(t.x[r*dim:(r+1)*dim], t.w.headNorm, t.h[i*dim:(i+1)*dim], t.shape.NormEps)
	}
	if n > 0 {
		t.multiply(t.h, n, product{t.w.head, t.logits})
	}
	return expert.Batch{Rows: n, Dim: vocab, Data: t.logits[:n*vocab]}
}

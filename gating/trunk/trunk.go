package trunk

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// Mixer runs the sparse part of one layer: for each row of h, (Rows, Dim), the
// weighted sum of the experts that its gate scores, a row of (Rows, Experts),
// choose. *gating.Layer is one.
type Mixer interface {
	Mix(ctx context.Context, layer int, h, scores expert.Batch) (expert.Batch, error)
}

// Config of a [Trunk].
type Config struct {
	Model *expert.Model // stays open as long as the trunk is used
	Mixer Mixer
	Pool  *ggml.Pool
}

// Trunk is the dense part of one model with the keys and values of its
// sequences.
type Trunk struct {
	shape expert.Shape
	w     weights
	mixer Mixer
	pool  *ggml.Pool
	kv    cache
	rope  rope

	// Scratch of one step, all row-major; Rows is the step's.
	x, h    []float32 // (Rows, Dim): residual stream; normed
	q, att  []float32 // (Rows, Heads·HeadDim): queries; attention's answer
	k, v    []float32 // (Rows, KVHeads·HeadDim)
	scores  []float32 // (Rows, Experts)
	logits  []float32 // (len(Step.Logits), Vocab)
	quant   ggml.Rows // the activations of the product at hand
	pending []product
}

// New checks the configuration and finds the trunk's tensors.
func New(cfg Config) (*Trunk, error) {
	if cfg.Model == nil || cfg.Mixer == nil || cfg.Pool == nil {
		return nil, errors.New("trunk: needs a model, a mixer and a pool")
	}
	w, err := load(cfg.Model)
	if err != nil {
		return nil, err
	}
	s := cfg.Model.Shape()
	return &Trunk{
		shape: s, w: w, mixer: cfg.Mixer, pool: cfg.Pool,
		kv:   cache{layers: s.Layers, width: s.KVHeads * s.HeadDim, context: s.Context, slots: map[int]*sequence{}},
		rope: newRope(s.HeadDim, float64(s.RopeBase)),
	}, nil
}

// Release forgets a slot's keys and values.
func (t *Trunk) Release(slot int) { delete(t.kv.slots, slot) }

// Forward runs one step and returns the logits, (len(s.Logits), Vocab), valid
// until the next step. After an error the same step may be run again.
func (t *Trunk) Forward(ctx context.Context, s Step) (expert.Batch, error) {
	if err := t.check(s); err != nil {
		return expert.Batch{}, err
	}
	if err := t.kv.prepare(s); err != nil {
		return expert.Batch{}, err
	}
	t.reserve(s.Rows())
	t.rope.at(s.Positions)
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

func (t *Trunk) check(s Step) error {
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

func (t *Trunk) reserve(rows int) {
	s := t.shape
	t.x, t.h = grow(t.x, rows*s.Dim), grow(t.h, rows*s.Dim)
	t.q, t.att = grow(t.q, rows*s.Heads*s.HeadDim), grow(t.att, rows*s.Heads*s.HeadDim)
	t.k, t.v = grow(t.k, rows*s.KVHeads*s.HeadDim), grow(t.v, rows*s.KVHeads*s.HeadDim)
	t.scores = grow(t.scores, rows*s.Experts)
}

// sparse adds the experts' answer to the residual stream.
func (t *Trunk) sparse(ctx context.Context, l, rows int) error {
	w, dim := &t.w.layers[l], t.shape.Dim
	t.norm(w.ffnNorm, t.x, t.h, rows)
	t.multiply(t.h, rows, product{w.gate, t.scores})
	out, err := t.mixer.Mix(ctx, l,
		expert.Batch{Rows: rows, Dim: dim, Data: t.h[:rows*dim]},
		expert.Batch{Rows: rows, Dim: t.shape.Experts, Data: t.scores[:rows*t.shape.Experts]})
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
func (t *Trunk) headLogits(s Step) expert.Batch {
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

// norm normalises rows of x into y.
func (t *Trunk) norm(w, x, y []float32, rows int) {
	dim := t.shape.Dim
	t.byRows(rows, func(r int) {
		ggml.RMSNorm(x[r*dim:(r+1)*dim], w, y[r*dim:(r+1)*dim], t.shape.NormEps)
	})
}

// byRows calls f for each row, on the pool when there are enough of them to
// be worth waking it.
func (t *Trunk) byRows(rows int, f func(r int)) {
	const worthwhile = 8
	if rows < worthwhile {
		for r := range rows {
			f(r)
		}
		return
	}
	parts := t.pool.Workers()
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(rows, parts, i, 1)
		for r := first; r < last; r++ {
			f(r)
		}
	})
}

// product is one matrix to multiply rows with, and where the answer goes:
// (Rows, w.Out).
type product struct {
	w ggml.Matrix
	y []float32
}

// multiply computes products that share the rows x. Matrices whose activation
// formats differ are done one format after the other.
func (t *Trunk) multiply(x []float32, rows int, products ...product) {
	for len(products) > 0 {
		kind := products[0].w.Activations()
		t.pending = t.pending[:0]
		rest := products[:0]
		for _, p := range products {
			if p.w.Activations() == kind {
				t.pending = append(t.pending, p)
			} else {
				rest = append(rest, p)
			}
		}
		products = rest
		t.quant.Reserve(kind, rows, t.pending[0].w.In)
		t.quantize(x, rows)
		t.run(rows)
	}
}

func (t *Trunk) quantize(x []float32, rows int) {
	const worthwhile = 8
	if rows < worthwhile {
		t.quant.Fill(x, 0, rows)
		return
	}
	parts := t.pool.Workers()
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(rows, parts, i, 1)
		t.quant.Fill(x, first, last)
	})
}

// run cuts each pending product's outputs into one part per worker. Parts are
// whole cache lines of output, so that workers do not share any.
func (t *Trunk) run(rows int) {
	parts := t.pool.Workers()
	t.pool.Do(len(t.pending)*parts, func(_ *ggml.Scratch, i int) {
		p := t.pending[i/parts]
		first, last := ggml.Parts(p.w.Out, parts, i%parts, 16)
		p.w.Multiply(&t.quant, first, last, p.y, p.w.Out)
	})
}

// attentionScale is 1/√HeadDim.
func (t *Trunk) attentionScale() float32 {
	return float32(1 / math.Sqrt(float64(t.shape.HeadDim)))
}

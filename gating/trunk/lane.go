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
	x, h   []float32 // (Rows, Dim): residual stream; normed
	q      []float32 // (Rows, Heads·HeadDim): queries
	k, v   []float32 // (Rows, KVHeads·HeadDim)
	att    []float32 // (Rows, Heads·ValueDim): attention's answer
	scores []float32 // (Rows, Experts)
	wide   []float32 // (Rows, Dim): the answer of a network of the trunk
	// sparseOut is the experts' answer, (Rows, Dim).
	sparseOut []float32
	// sharedScores are what weighs the shared expert, one for each row.
	sharedScores []float32
	logits       []float32 // (len(Step.Logits), Vocab)
	hidden       []float32 // (len(Step.Hidden), Dim)
	angles       angles    // of the rows' positions
	seqs         []*sequence
	quant        ggml.Rows // the activations of the product at hand
	order        []int32   // 0, 1, 2 ...
	latentAt     latentScratch
	parts        parts
	mixing       mixing     // see sparse
	mixed        chan error // of startMix; room for one
	startMix     func()

	compute, experts time.Duration // of the last step
	since            time.Time     // when the lane's turn began

	place wave    // among the lanes of one step
	waves []*Lane // of a step in waves; nil before the first
}

// NewLane returns a lane with no scratch yet.
func (t *Trunk) NewLane() *Lane {
	n := &Lane{Trunk: t, mixed: make(chan error, 1)}
	n.startMix = func() { n.mixed <- n.mix() }
	n.makeParts()
	return n
}

// Forward runs one step and returns the logits, (len(s.Logits), Vocab), valid
// until the lane's next step. After an error the same step may be run again.
func (t *Lane) Forward(ctx context.Context, s Step) (expert.Batch, error) {
	if err := t.check(s); err != nil {
		return expert.Batch{}, err
	}
	var err error
	if t.seqs, err = t.kv.prepare(s, t.seqs[:0]); err != nil {
		return expert.Batch{}, err
	}
	if s.Waves > 1 {
		return t.inWaves(ctx, s)
	}
	return t.through(ctx, s)
}

// through takes a step whose rows are prepared through all layers.
func (t *Lane) through(ctx context.Context, s Step) (expert.Batch, error) {
	t.compute, t.experts = 0, 0
	t.take()
	defer t.give()
	t.reserve(s.Rows())
	t.angles.at(&t.rope, s.Positions)
	dim := t.shape.Dim
	for i, token := range s.Tokens {
		t.w.embed.Dequantize(int(token), t.x[i*dim:(i+1)*dim])
	}
	scale(t.design.EmbedScale, t.x[:s.Rows()*dim])
	for l := range t.w.layers {
		if err := ctx.Err(); err != nil {
			return expert.Batch{}, err
		}
		if err := t.follow(ctx); err != nil {
			return expert.Batch{}, err
		}
		t.attention(l, s)
		t.pass()
		if err := t.networks(ctx, l, s.Rows()); err != nil {
			return expert.Batch{}, fmt.Errorf("layer %d: %w", l, err)
		}
	}
	t.keepHidden(s)
	return t.headLogits(s), nil
}

// Hidden gives the hidden states that the last step was asked for, after the
// last norm, (len(s.Hidden), Dim), valid until the lane's next step.
func (t *Lane) Hidden() expert.Batch {
	dim := t.shape.Dim
	return expert.Batch{Rows: len(t.hidden) / dim, Dim: dim, Data: t.hidden}
}

func (t *Lane) keepHidden(s Step) {
	dim := t.shape.Dim
	t.hidden = grow(t.hidden, len(s.Hidden)*dim)
	for i, r := range s.Hidden {
		ggml.RMSNorm(t.x[r*dim:(r+1)*dim], t.w.headNorm, t.hidden[i*dim:(i+1)*dim], t.shape.NormEps)
	}
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
// experts. What it waited for its turn is in neither, but of a step in waves all
// is in the second in which none of them computed.
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
	for _, asked := range [2][]int{s.Logits, s.Hidden} {
		for _, r := range asked {
			if r < 0 || r >= s.Rows() {
				return fmt.Errorf("trunk: row %d asked for of %d rows", r, s.Rows())
			}
		}
	}
	if s.Waves > s.Rows() {
		return fmt.Errorf("trunk: %d rows in %d waves", s.Rows(), s.Waves)
	}
	return nil
}

func (t *Lane) reserve(rows int) {
	s, d := t.shape, t.design.Attention.Latent
	t.x, t.h, t.wide = grow(t.x, rows*s.Dim), grow(t.h, rows*s.Dim), grow(t.wide, rows*s.Dim)
	t.sparseOut = grow(t.sparseOut, rows*s.Dim)
	value := s.HeadDim
	if d != nil {
		value = d.ValueDim
	}
	t.q, t.att = grow(t.q, rows*s.Heads*s.HeadDim), grow(t.att, rows*s.Heads*value)
	t.k, t.v = grow(t.k, rows*t.kv.keys), grow(t.v, rows*t.kv.values)
	t.scores, t.sharedScores = grow(t.scores, rows*s.Experts), grow(t.sharedScores, rows)
	t.reserveLatent(rows)
}

// scale multiplies values by a factor.
func scale(a float32, x []float32) {
	if a == 1 {
		return
	}
	for i := range x {
		x[i] *= a
	}
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
		t.multiply(t.h, n, product{W: t.w.head, Y: t.logits})
		scale(t.design.LogitScale, t.logits)
	}
	return expert.Batch{Rows: n, Dim: vocab, Data: t.logits[:n*vocab]}
}

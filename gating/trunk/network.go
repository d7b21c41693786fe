package trunk

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// networks adds to the residual stream what follows attention in a layer: a
// network of the trunk's own, or experts.
func (t *Lane) networks(ctx context.Context, l, rows int) error {
	w := &t.w.layers[l]
	t.norm(w.ffnNorm, t.x, t.h, rows)
	if w.gate.In == 0 {
		t.network(w.dense, rows)
		ggml.AddScaled(t.design.ResidualScale, t.wide[:rows*t.shape.Dim], t.x)
		return nil
	}
	return t.sparse(ctx, l, rows)
}

// mixed is what a mixer answers.
type mixed struct {
	out expert.Batch
	err error
}

// sparse adds the experts' answer to the residual stream. A shared expert is
// computed while the others are on their way; while nothing is left to do but
// wait, other lanes compute.
func (t *Lane) sparse(ctx context.Context, l, rows int) error {
	w, dim, experts := &t.w.layers[l], t.shape.Dim, t.shape.Experts
	t.multiply(t.h, rows, product{w.gate, t.scores})
	addBias(t.scores, w.gateBias, rows)
	mix := func() mixed {
		out, err := t.mixer.Mix(ctx, l,
			expert.Batch{Rows: rows, Dim: dim, Data: t.h[:rows*dim]},
			expert.Batch{Rows: rows, Dim: experts, Data: t.scores[:rows*experts]})
		return mixed{out, err}
	}
	var m mixed
	if w.dense == nil {
		t.give()
		began := time.Now()
		m = mix()
		t.experts += time.Since(began)
		t.take()
	} else {
		answer := make(chan mixed, 1)
		go func() { answer <- mix() }()
		t.network(w.dense, rows)
		if w.sharedGate.In > 0 {
			t.multiply(t.h, rows, product{w.sharedGate, t.sharedScores})
		}
		t.give()
		began := time.Now()
		m = <-answer
		t.experts += time.Since(began)
		t.take()
	}
	if m.err != nil {
		return m.err
	}
	if m.out.Rows != rows || m.out.Dim != dim || len(m.out.Data) != rows*dim {
		return fmt.Errorf("trunk: mixed rows are (%d, %d), want (%d, %d)", m.out.Rows, m.out.Dim, rows, dim)
	}
	ggml.AddScaled(t.design.ResidualScale, m.out.Data, t.x)
	t.addShared(w, rows)
	return nil
}

// addShared adds the shared expert's answer, in wide, to the residual stream.
func (t *Lane) addShared(w *layer, rows int) {
	if w.dense == nil {
		return
	}
	dim := t.shape.Dim
	for r := range rows {
		weight := t.design.ResidualScale
		if w.sharedGate.In > 0 {
			weight *= float32(1 / (1 + math.Exp(-float64(t.sharedScores[r]))))
		}
		ggml.AddScaled(weight, t.wide[r*dim:(r+1)*dim], t.x[r*dim:(r+1)*dim])
	}
}

// network takes the rows in h through a network of the trunk, into wide. Its
// matrices are shared out over all workers.
func (t *Lane) network(f *ggml.FFN, rows int) {
	kind, _ := f.Activations()
	t.quant.Reserve(kind, rows, f.W1.In)
	t.quantize(t.h, rows)
	for len(t.order) < rows {
		t.order = append(t.order, int32(len(t.order)))
	}
	parts := t.pool.Workers()
	t.split.Begin(*f, &t.quant, t.order[:rows])
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) { t.split.Inner(i, parts) })
	t.split.Quantize()
	t.pool.Do(parts, func(_ *ggml.Scratch, i int) { t.split.Outer(i, parts, t.wide) })
}

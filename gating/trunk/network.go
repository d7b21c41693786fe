package trunk

import (
	"context"
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

// sparse adds the experts' answer to the residual stream. A shared expert is
// computed while the others are on their way; while nothing is left to do but
// wait, other lanes compute.
func (t *Lane) sparse(ctx context.Context, l, rows int) error {
	w, dim := &t.w.layers[l], t.shape.Dim
	t.multiply(t.h, rows, product{W: w.gate, Y: t.scores})
	addBias(t.scores, w.gateBias, rows)
	t.mixing = mixing{ctx, l, rows}
	var err error
	if w.dense == nil {
		t.give()
		began := time.Now()
		err = t.mix()
		t.experts += time.Since(began)
		t.take()
	} else {
		go t.startMix()
		t.network(w.dense, rows)
		if w.sharedGate.In > 0 {
			t.multiply(t.h, rows, product{W: w.sharedGate, Y: t.sharedScores})
		}
		t.give()
		began := time.Now()
		err = <-t.mixed
		t.experts += time.Since(began)
		t.take()
	}
	t.mixing = mixing{}
	if err != nil {
		return err
	}
	ggml.AddScaled(t.design.ResidualScale, t.sparseOut[:rows*dim], t.x)
	t.addShared(w, rows)
	return nil
}

// mixing is the layer whose experts are being asked.
type mixing struct {
	ctx   context.Context
	layer int
	rows  int
}

// mix has the experts answer, into sparseOut.
func (t *Lane) mix() error {
	m, dim, experts := t.mixing, t.shape.Dim, t.shape.Experts
	return t.mixer.Mix(m.ctx, m.layer,
		expert.Batch{Rows: m.rows, Dim: dim, Data: t.h[:m.rows*dim]},
		expert.Batch{Rows: m.rows, Dim: experts, Data: t.scores[:m.rows*experts]},
		expert.Batch{Rows: m.rows, Dim: dim, Data: t.sparseOut[:m.rows*dim]})
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
// matrices are shared out over all workers, in fine parts: while experts are
// computed beside it, workers come to it as they become free.
func (t *Lane) network(f *ggml.FFN, rows int) {
	kind, _ := f.Activations()
	t.pool.Quantize(&t.quant, kind, t.h, rows, f.W1.In)
	for len(t.order) < rows {
		t.order = append(t.order, int32(len(t.order)))
	}
	t.parts.split.Begin(*f, &t.quant, t.order[:rows], t.wide)
	t.pool.Feed(t.parts.splits[:], t.pool.Workers()*partsPerWorker)
}

package audit

import (
	"context"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/expert"
)

// plain applies experts of a set in plain Go. With zero fields it is the
// reference; the others make it stand for another honest computer, or for one
// that saves itself work.
type plain struct {
	set   *expert.Set
	block int // activations are rounded to 8 bits per so many values; 0: not
	bits  int // weights are rounded to so many bits per 32 values; 0: not
	skip  int // of each 100 hidden units so many are left out
}

// Apply implements [expert.Applier].
func (p plain) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := make([]expert.Result, len(calls))
	for i, c := range calls {
		if results[i].Err = ctx.Err(); results[i].Err != nil {
			continue
		}
		if !p.set.Holds(c.Expert) {
			results[i].Err = fmt.Errorf("%w: %v", expert.ErrUnknownExpert, c.Expert)
			continue
		}
		x := expert.NewBatch(len(c.Rows), in.Dim)
		for k, r := range c.Rows {
			copy(x.Row(k), in.Row(int(r)))
		}
		results[i].Out = p.apply(c.Expert, x)
	}
	return results
}

func (p plain) apply(id expert.ID, x expert.Batch) expert.Batch {
	dim, ff := p.set.Size(id)
	x = inBlocks(x, p.block)
	g, u := p.product(id, expert.W1, x, ff), p.product(id, expert.W3, x, ff)
	h := expert.NewBatch(x.Rows, ff)
	for i := range h.Data {
		if i%ff*37%100 >= p.skip {
			h.Data[i] = float32(silu(float64(g.Data[i])) * float64(u.Data[i]))
		}
	}
	return p.product(id, expert.W2, inBlocks(h, p.block), dim)
}

func (p plain) product(id expert.ID, part expert.Part, x expert.Batch, out int) expert.Batch {
	y := expert.NewBatch(x.Rows, out)
	w := make([]float32, x.Dim)
	for o := range out {
		p.set.Widen(id, part, o, w)
		if p.bits > 0 {
			roundBlocks(w, w, 32, p.bits)
		}
		for r := range x.Rows {
			y.Row(r)[o] = float32(dot(x.Row(r), w))
		}
	}
	return y
}

func silu(x float64) float64 { return x / (1 + math.Exp(-x)) }

// inBlocks rounds each block of values of a row to 8 bits of a common scale.
func inBlocks(b expert.Batch, block int) expert.Batch {
	if block == 0 {
		return b
	}
	out := expert.NewBatch(b.Rows, b.Dim)
	for r := range b.Rows {
		roundBlocks(b.Row(r), out.Row(r), block, 8)
	}
	return out
}

// roundBlocks writes from, rounded to so many bits of a scale for each block,
// to to.
func roundBlocks(from, to []float32, block, bits int) {
	levels := float64(int(1)<<(bits-1) - 1)
	for at := 0; at < len(from); at += block {
		end := min(at+block, len(from))
		var most float64
		for _, v := range from[at:end] {
			most = max(most, math.Abs(float64(v)))
		}
		scale := most / levels
		if scale == 0 {
			clear(to[at:end])
			continue
		}
		for i, v := range from[at:end] {
			to[at+i] = float32(math.Round(float64(v)/scale) * scale)
		}
	}
}

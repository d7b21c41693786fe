package audit

import (
	"context"
	"fmt"
	"math"

	"github.com/moeswarm/moeswarm/expert"
)

// rounding is how a computer keeps activations on their way into a product.
type rounding uint8

// The roundings. An honest computer uses one of those that auditors know, or
// one so near that the tolerance covers it.
const (
	asFloats rounding    = iota // 32 bits
	per32                       // 8 bits per 32 values, with a scale in half precision, as Q8_0
	per256                      // 8 bits per 256 values, as Q8_K
	known                       // how many auditors compute themselves
	halves   = known            // 16 bits, half precision
	brains   = known + 1        // 16 bits, bfloat16
	per32f   = known + 2        // 8 bits per 32 values, with a scale in full precision
)

// plain applies experts of a set in plain Go. With zero fields it is float64
// throughout; the others make it stand for another honest computer, or for one
// that saves itself work.
type plain struct {
	set   *expert.Set
	round rounding
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
		if results[i].Out = p.apply(c.Expert, x); !p.set.Holds(c.Expert) {
			results[i] = expert.Result{Err: gone(c.Expert)}
		}
	}
	return results
}

func (p plain) apply(id expert.ID, x expert.Batch) expert.Batch {
	dim, ff := p.set.Size(id)
	x = rounded(x, p.round)
	g, u := p.product(id, expert.W1, x, ff), p.product(id, expert.W3, x, ff)
	h := expert.NewBatch(x.Rows, ff)
	for r := range h.Rows {
		p.set.Activate(id, g.Row(r), u.Row(r), h.Row(r))
	}
	for i := range h.Data {
		if i%ff*37%100 < p.skip {
			h.Data[i] = 0
		}
	}
	y := p.product(id, expert.W2, rounded(h, p.round), dim)
	if bias := p.set.OutBias(id); bias != nil {
		for r := range y.Rows {
			expert.AddScaled(1, bias, y.Row(r))
		}
	}
	return y
}

func (p plain) product(id expert.ID, part expert.Part, x expert.Batch, out int) expert.Batch {
	y := expert.NewBatch(x.Rows, out)
	w := make([]float32, x.Dim)
	for o := range out {
		p.set.Widen(id, part, o, w)
		if p.bits > 0 {
			roundBlocks(w, w, 32, p.bits, nil)
		}
		for r := range x.Rows {
			y.Row(r)[o] = float32(dot(x.Row(r), w))
		}
	}
	return y
}

// rounded returns rows of activations as they go into a product.
func rounded(b expert.Batch, how rounding) expert.Batch {
	if how == asFloats {
		return b
	}
	out := expert.NewBatch(b.Rows, b.Dim)
	for r := range b.Rows {
		from, to := b.Row(r), out.Row(r)
		switch how {
		case per32:
			roundBlocks(from, to, 32, 8, half)
		case per32f:
			roundBlocks(from, to, 32, 8, nil)
		case per256:
			roundBlocks(from, to, 256, 8, nil)
		case halves:
			for i, v := range from {
				to[i] = half(v)
			}
		case brains:
			for i, v := range from {
				to[i] = math.Float32frombits((math.Float32bits(v) + 0x8000) &^ 0xffff)
			}
		}
	}
	return out
}

// half rounds to the precision of 16-bit floats.
func half(v float32) float32 {
	const smallest = 0x1p-14 // below it, steps stay the same
	if math.Abs(float64(v)) < smallest {
		return float32(math.RoundToEven(float64(v)*0x1p24) * 0x1p-24)
	}
	bits := math.Float32bits(v)
	bits += 0xfff + bits>>13&1
	return math.Float32frombits(bits &^ 0x1fff)
}

// roundBlocks writes from, rounded to so many bits of a scale for each block,
// to to. The scale itself is rounded by keep, if there is one.
func roundBlocks(from, to []float32, block, bits int, keep func(float32) float32) {
	levels := float32(int(1)<<(bits-1) - 1)
	for at := 0; at < len(from); at += block {
		end := min(at+block, len(from))
		var largest uint32 // the bits of it, without its sign: they have the order of the numbers
		for _, v := range from[at:end] {
			largest = max(largest, math.Float32bits(v)&^(1<<31))
		}
		scale := math.Float32frombits(largest) / levels
		if scale == 0 {
			clear(to[at:end])
			continue
		}
		inverse, kept := 1/scale, scale
		if keep != nil {
			kept = keep(scale)
		}
		rounded := to[at:end:end]
		for i, v := range from[at:end:end] {
			rounded[i] = nearest(v*inverse) * kept
		}
	}
}

// nearest is the nearest whole number of a small one.
func nearest(v float32) float32 {
	const shift = 3 << 22 // floats of this size have no fraction
	return float32(v+shift) - shift
}

package expert

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Numeric is a class of arithmetic. Two honest computations of one expert
// agree only as closely as the numbers are that they multiply with, so what is
// tolerated between them depends on the class.
type Numeric uint8

// The classes, finest first, by the format that activations take on the way
// into an expert's products.
const (
	Float     Numeric = iota // floats of 16 or 32 bits
	Blocks32                 // 8 bits with a scale for each 32 values (Q8_0, Q8_1)
	Blocks256                // 8 bits with a scale for each 256 values (Q8_K)
	Numerics                 // how many there are
)

func (n Numeric) String() string {
	if n >= Numerics {
		return fmt.Sprintf("numeric class %d", uint8(n))
	}
	return [Numerics]string{"float", "8 bits per 32", "8 bits per 256"}[n]
}

func numericOf(t gguf.Type) Numeric {
	switch t {
	case gguf.F32, gguf.F16, gguf.BF16:
		return Float
	case gguf.Q8_K:
		return Blocks256
	}
	return Blocks32
}

// Inner is what an expert computes before its biases and its activation
// function: W1 x and W3 x, a row for each row of the call.
type Inner struct {
	Gate, Up Batch // (rows, FF)
	Err      error // as in a Result
}

// Opener is an Applier's optional third power: it shows the inner layer of
// calls, bit for bit what Apply would go on with. Those who check results ask
// for it.
type Opener interface {
	Inner(ctx context.Context, in Batch, calls []Call) []Inner
}

// Part is one matrix of an expert.
type Part uint8

// The matrices, as in [Weights].
const (
	W1 Part = iota
	W2
	W3
)

func matrixOf(f ggml.FFN, p Part) ggml.Matrix {
	return [...]ggml.Matrix{W1: f.W1, W2: f.W2, W3: f.W3}[p]
}

// Size gives the lengths of an expert's rows, Dim and FF; 0 for one that is
// not in the set.
func (s *Set) Size(id ID) (dim, ff int) {
	f, ok := s.state.Load().ffns[id]
	if !ok {
		return 0, 0
	}
	return f.W1.In, f.W1.Out
}

// Numeric is the class of an expert's arithmetic here: the coarser of the two
// formats that activations take in it.
func (s *Set) Numeric(id ID) Numeric {
	f := s.state.Load().ffns[id]
	if f.W1.In == 0 {
		return Float
	}
	return max(numericOf(f.W1.Activations()), numericOf(f.W2.Activations()))
}

// Piece hashes an expert's weights as they are in memory now. Compare it with
// the manifest's: a file may have changed since its manifest was made.
func (s *Set) Piece(id ID) (Piece, error) {
	s.busy.RLock()
	defer s.busy.RUnlock()
	w, err := s.from.Weights(id)
	if err != nil {
		return Piece{}, err
	}
	return HashExpert(w)
}

// Activate computes the values between an expert's two layers from W1 x and
// W3 x, in plain Go: h = act(g + B1, u + B3).
func (s *Set) Activate(id ID, g, u, h []float32) {
	f := s.state.Load().ffns[id]
	for i := range h {
		a, b := float64(g[i]), float64(u[i])
		if f.B1 != nil {
			a, b = a+float64(f.B1[i]), b+float64(f.B3[i])
		}
		h[i] = float32(f.Act.At(a, b))
	}
}

// OutBias is B2 of an expert, nil if it has none. Read only.
func (s *Set) OutBias(id ID) []float32 { return s.state.Load().ffns[id].B2 }

// Widen writes row i of a matrix of an expert that the set holds as floats
// into dst, which has room for it. Of one that was given up meanwhile come
// zeros: ask Holds when all rows are read.
func (s *Set) Widen(id ID, p Part, i int, dst []float32) {
	s.busy.RLock()
	defer s.busy.RUnlock()
	f, ok := s.state.Load().ffns[id]
	if !ok {
		clear(dst)
		return
	}
	matrixOf(f.FFN, p).Dequantize(i, dst)
}

// Inner implements [Opener].
func (s *Set) Inner(ctx context.Context, in Batch, calls []Call) []Inner {
	out := make([]Inner, len(calls))
	if err := s.check(in, calls); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	s.busy.RLock()
	defer s.busy.RUnlock()
	now := s.state.Load()
	s.pool.Do(len(calls), func(_ *ggml.Scratch, i int) {
		c := calls[i]
		f, ok := now.ffns[c.Expert]
		switch {
		case !ok:
			out[i].Err = fmt.Errorf("%w: %v", ErrUnknownExpert, c.Expert)
			return
		case ctx.Err() != nil:
			out[i].Err = ctx.Err()
			return
		}
		x := NewBatch(len(c.Rows), in.Dim)
		for k, r := range c.Rows {
			copy(x.Row(k), in.Row(int(r)))
		}
		var rows ggml.Rows
		rows.Quantize(f.W1.Activations(), x.Data, x.Rows, x.Dim)
		ff := f.W1.Out
		out[i].Gate, out[i].Up = NewBatch(x.Rows, ff), NewBatch(x.Rows, ff)
		f.W1.Multiply(&rows, 0, ff, out[i].Gate.Data, ff)
		f.W3.Multiply(&rows, 0, ff, out[i].Up.Data, ff)
	})
	return out
}

// Inner implements [Opener] for the set of the calls' model.
func (s Sets) Inner(ctx context.Context, in Batch, calls []Call) []Inner {
	if len(calls) > 0 && s[calls[0].Expert.Model] != nil {
		return s[calls[0].Expert.Model].Inner(ctx, in, calls)
	}
	out := make([]Inner, len(calls))
	for i, c := range calls {
		out[i].Err = fmt.Errorf("%w: %v of model %s", ErrUnknownExpert, c.Expert, c.Expert.Model.Short())
	}
	return out
}

// Project multiplies one matrix of an expert from the left: the result is
// r times it, (r.Rows, width of the matrix). r has a value for each of the
// matrix's rows. The weights are read once, on all workers of the pool.
func (s *Set) Project(id ID, p Part, r Batch) (Batch, error) {
	s.busy.RLock()
	defer s.busy.RUnlock()
	f, ok := s.state.Load().ffns[id]
	if !ok {
		return Batch{}, fmt.Errorf("%w: %v", ErrUnknownExpert, id)
	}
	m := matrixOf(f.FFN, p)
	if r.Dim != m.Out || len(r.Data) != r.Rows*r.Dim {
		return Batch{}, fmt.Errorf("%w: projection of (%d, %d) for a matrix of %d rows", ErrBadCall, r.Rows, r.Dim, m.Out)
	}
	parts := make([]Batch, s.pool.Workers())
	s.pool.Do(len(parts), func(_ *ggml.Scratch, i int) {
		first, last := ggml.Parts(m.Out, len(parts), i, 1)
		parts[i] = NewBatch(r.Rows, m.In)
		row := make([]float32, m.In)
		for o := first; o < last; o++ {
			m.Dequantize(o, row)
			for k := range r.Rows {
				ggml.AddScaled(r.Row(k)[o], row, parts[i].Row(k))
			}
		}
	})
	for _, p := range parts[1:] {
		ggml.AddScaled(1, p.Data, parts[0].Data)
	}
	return parts[0], nil
}

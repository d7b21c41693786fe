package jury

import (
	"context"
	"errors"
	"fmt"
)

// ErrBadCase: sizes do not fit each other, or weights are in a form that this
// package does not read.
var ErrBadCase = errors.New("not a case that a jury can judge")

// MaxRows bounds the rows of a case: some seconds of work for the largest
// experts there are.
const MaxRows = 64

// Matrix supplies the rows of a matrix of weights, widened exactly.
type Matrix interface {
	// Size is the length of a row and how many rows there are.
	Size() (in, out int)
	// Row writes row i into dst, which has room for it.
	Row(i int, dst []float64)
}

// Network is one expert: W1 and W3 take rows of Dim values to FF, W2 takes
// them back. The biases are all there, (FF), (Dim), (FF), or all nil.
type Network struct {
	W1, W2, W3 Matrix
	B1, B2, B3 []float32
	Act        Activation
}

// sizes gives Dim and FF, or says what does not fit.
func (n Network) sizes() (dim, ff int, err error) {
	if n.W1 == nil || n.W2 == nil || n.W3 == nil || n.Act >= activations {
		return 0, 0, fmt.Errorf("%w: a network without matrices", ErrBadCase)
	}
	dim, ff = n.W1.Size()
	in2, out2 := n.W2.Size()
	in3, out3 := n.W3.Size()
	if dim <= 0 || ff <= 0 || in2 != ff || out2 != dim || in3 != dim || out3 != ff {
		return 0, 0, fmt.Errorf("%w: matrices of (%d, %d), (%d, %d) and (%d, %d)", ErrBadCase, ff, dim, out2, in2, out3, in3)
	}
	if b1, b2, b3 := len(n.B1), len(n.B2), len(n.B3); b1+b2+b3 > 0 && (b1 != ff || b2 != dim || b3 != ff) {
		return 0, 0, fmt.Errorf("%w: biases of %d, %d and %d", ErrBadCase, b1, b2, b3)
	}
	return dim, ff, nil
}

// Apply computes the expert for rows x, (rows, Dim), in an arithmetic. The
// result has the same shape. It returns early only when ctx ends.
func (n Network) Apply(ctx context.Context, how Arithmetic, x []float32) ([]float64, error) {
	dim, ff, err := n.sizes()
	if err != nil {
		return nil, err
	}
	rows := len(x) / dim
	if len(x) != rows*dim || rows < 1 || rows > MaxRows || how >= arithmetics {
		return nil, fmt.Errorf("%w: %d values in rows of %d: want 1 to %d rows", ErrBadCase, len(x), dim, MaxRows)
	}
	in := make([]float64, len(x))
	for i, v := range x {
		in[i] = float64(v)
	}
	roundRows(how, in, dim)
	g, u := make([]float64, rows*ff), make([]float64, rows*ff)
	if err := multiply(ctx, n.W1, in, g, n.B1); err != nil {
		return nil, err
	}
	if err := multiply(ctx, n.W3, in, u, n.B3); err != nil {
		return nil, err
	}
	for i := range g {
		g[i] = n.Act.at(g[i], u[i])
	}
	roundRows(how, g, ff)
	y := make([]float64, len(x))
	return y, multiply(ctx, n.W2, g, y, n.B2)
}

func roundRows(how Arithmetic, x []float64, n int) {
	for ; len(x) > 0; x = x[n:] {
		how.round(x[:n])
	}
}

// multiply computes y = m x + bias for each row of x. A row of weights is
// widened once for all of them.
func multiply(ctx context.Context, m Matrix, x, y []float64, bias []float32) error {
	in, out := m.Size()
	w := make([]float64, in)
	for o := range out {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.Row(o, w)
		for r := range len(x) / in {
			sum := dot(w, x[r*in:(r+1)*in])
			if bias != nil {
				sum = float64(sum + float64(bias[o]))
			}
			y[r*out+o] = sum
		}
	}
	return nil
}

// dot sums in four columns, which are added in pairs: four times as fast as
// one column, and as fixed.
func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i] * b[i])
		s1 += float64(a[i+1] * b[i+1])
		s2 += float64(a[i+2] * b[i+2])
		s3 += float64(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i] * b[i])
	}
	return float64(s0+s1) + float64(s2+s3)
}

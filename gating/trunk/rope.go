package trunk

import "math"

// rope rotates pairs of values by an angle that grows with the position
// (rotary position embedding in the NEOX layout: value i is paired with value
// i + HeadDim/2).
type rope struct {
	freq []float64 // (HeadDim/2) radians per position
}

func newRope(headDim int, base float64) rope {
	r := rope{freq: make([]float64, headDim/2)}
	for i := range r.freq {
		r.freq[i] = math.Pow(base, -2*float64(i)/float64(headDim))
	}
	return r
}

// angles of the rows of a step. All layers and heads share them.
type angles struct {
	half     int
	cos, sin []float32 // (Rows, HeadDim/2)
}

// at computes the angles of rows at these positions.
func (a *angles) at(r *rope, positions []int) {
	a.half = len(r.freq)
	a.cos, a.sin = grow(a.cos, len(positions)*a.half), grow(a.sin, len(positions)*a.half)
	for row, p := range positions {
		for i, f := range r.freq {
			s, c := math.Sincos(float64(p) * f)
			a.sin[row*a.half+i], a.cos[row*a.half+i] = float32(s), float32(c)
		}
	}
}

// apply rotates one head of a row.
func (a *angles) apply(row int, v []float32) {
	cos, sin := a.cos[row*a.half:(row+1)*a.half], a.sin[row*a.half:(row+1)*a.half]
	lo, hi := v[:a.half], v[a.half:a.half*2]
	for i := range lo {
		x, y := lo[i], hi[i]
		lo[i], hi[i] = x*cos[i]-y*sin[i], x*sin[i]+y*cos[i]
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

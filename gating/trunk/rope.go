package trunk

import "math"

// rope rotates pairs of values by an angle that grows with the position
// (rotary position embedding in the NEOX layout: value i is paired with value
// i + HeadDim/2).
type rope struct {
	freq     []float64 // (HeadDim/2) radians per position
	cos, sin []float32 // (Rows, HeadDim/2) of the current step
}

func newRope(headDim int, base float64) rope {
	r := rope{freq: make([]float64, headDim/2)}
	for i := range r.freq {
		r.freq[i] = math.Pow(base, -2*float64(i)/float64(headDim))
	}
	return r
}

// at prepares the angles of a step's rows. All layers and heads share them.
func (r *rope) at(positions []int) {
	half := len(r.freq)
	r.cos, r.sin = grow(r.cos, len(positions)*half), grow(r.sin, len(positions)*half)
	for row, p := range positions {
		for i, f := range r.freq {
			s, c := math.Sincos(float64(p) * f)
			r.sin[row*half+i], r.cos[row*half+i] = float32(s), float32(c)
		}
	}
}

// apply rotates one head of a row.
func (r *rope) apply(row int, v []float32) {
	half := len(r.freq)
	cos, sin := r.cos[row*half:(row+1)*half], r.sin[row*half:(row+1)*half]
	lo, hi := v[:half], v[half:half*2]
	for i := range lo {
		a, b := lo[i], hi[i]
		lo[i], hi[i] = a*cos[i]-b*sin[i], a*sin[i]+b*cos[i]
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

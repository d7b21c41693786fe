package trunk

import (
	"math"

	"github.com/moeswarm/moeswarm/expert"
)

// rope rotates pairs of values by an angle that grows with the position
// (rotary position embedding).
type rope struct {
	freq      []float64 // (Dims/2) radians per position
	pairs     expert.Pairs
	magnitude float64
}

// newRope computes the frequencies of a rotation. divisors, one for each, may
// be nil. A stretched context lowers them: by [expert.Rope.Scale] all alike,
// or, with YaRN, the low ones more than the high.
func newRope(d expert.Rope, divisors []float32) rope {
	r := rope{freq: make([]float64, d.Dims/2), pairs: d.Pairs, magnitude: float64(d.Magnitude)}
	low, high := 0.0, 0.0
	if d.Yarn != nil {
		low, high = yarnRange(d)
	}
	for i := range r.freq {
		f := math.Pow(float64(d.Base), -2*float64(i)/float64(d.Dims))
		if divisors != nil {
			f /= float64(divisors[i])
		}
		kept := 0.0 // the part of the frequency that is not scaled
		if d.Yarn != nil {
			kept = 1 - min(max((float64(i)-low)/max(0.001, high-low), 0), 1)
		}
		r.freq[i] = f * (kept + (1-kept)*float64(d.Scale))
	}
	return r
}

// yarnRange is between which pairs YaRN mixes: those before low turn fast
// enough to be kept, those after high so slowly that they are scaled.
func yarnRange(d expert.Rope) (low, high float64) {
	pairAt := func(turns float32) float64 {
		return float64(d.Dims) * math.Log(float64(d.Yarn.Original)/(float64(turns)*2*math.Pi)) / (2 * math.Log(float64(d.Base)))
	}
	return max(0, math.Floor(pairAt(d.Yarn.Fast))), min(float64(d.Dims-1), math.Ceil(pairAt(d.Yarn.Slow)))
}

// angles of the rows of a step. All layers and heads share them.
type angles struct {
	half     int
	pairs    expert.Pairs
	cos, sin []float32 // (Rows, Dims/2)
}

// at computes the angles of rows at these positions.
func (a *angles) at(r *rope, positions []int) {
	a.half, a.pairs = len(r.freq), r.pairs
	a.cos, a.sin = grow(a.cos, len(positions)*a.half), grow(a.sin, len(positions)*a.half)
	for row, p := range positions {
		for i, f := range r.freq {
			s, c := math.Sincos(float64(p) * f)
			a.sin[row*a.half+i], a.cos[row*a.half+i] = float32(s*r.magnitude), float32(c*r.magnitude)
		}
	}
}

// apply rotates one head of a row: its first values, as many as have angles.
func (a *angles) apply(row int, v []float32) {
	cos, sin := a.cos[row*a.half:(row+1)*a.half], a.sin[row*a.half:(row+1)*a.half]
	if a.pairs == expert.Neighbours {
		for i := range cos {
			x, y := v[2*i], v[2*i+1]
			v[2*i], v[2*i+1] = x*cos[i]-y*sin[i], x*sin[i]+y*cos[i]
		}
		return
	}
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

package jury

import (
	"math"
)

// Arithmetic is how activations are kept on their way into a product. Honest
// holders use one of these, or one so near that the tolerance covers it.
type Arithmetic uint8

// The arithmetics.
const (
	Floats      Arithmetic = iota // as they are
	Blocks32                      // 8 bits, a scale of 16 bits for each 32 values (ggml's Q8_0)
	Blocks256                     // 8 bits, a scale of 32 bits for each 256 values (ggml's Q8_K)
	arithmetics                   // how many there are
)

func (a Arithmetic) block() int { return [arithmetics]int{1, 32, 256}[a] }

// round writes one row of activations, as the arithmetic keeps them, over it.
// Kernels quantise floats of 32 bits, so the values are rounded to those first.
func (a Arithmetic) round(row []float64) {
	if a == Floats {
		return
	}
	const levels = 127
	n := a.block()
	for at := 0; at < len(row); at += n {
		block := row[at:min(at+n, len(row))]
		var largest float32
		for i, v := range block {
			f := float32(v)
			block[i] = float64(f)
			largest = max(largest, max(f, -f))
		}
		scale := float32(largest / levels)
		if scale == 0 || math.IsInf(float64(scale), 0) {
			clear(block)
			continue
		}
		inverse, kept := float32(1/scale), float64(scale)
		if a == Blocks32 {
			kept = roundHalf(kept)
		}
		for i, v := range block {
			code := math.RoundToEven(float64(float32(float32(v) * inverse)))
			block[i] = float64(code * kept)
		}
	}
}

// half widens the 16-bit float whose bits these are. Infinities and NaNs, which
// no sound file has, come out as such.
func half(bits uint16) float64 {
	sign, exponent, mantissa := uint64(bits>>15), int(bits>>10&31), float64(bits&1023)
	var v float64
	switch exponent {
	case 0:
		v = float64(mantissa * 0x1p-24)
	case 31:
		v = math.Inf(1)
		if mantissa != 0 {
			v = math.NaN()
		}
	default:
		v = float64(float64(1024+mantissa) * power(exponent-25))
	}
	return math.Float64frombits(math.Float64bits(v) | sign<<63)
}

// roundHalf rounds a value that is not negative to the nearest 16-bit float.
func roundHalf(v float64) float64 {
	const (
		smallest = 0x1p-14 // below it, steps stay the same
		largest  = 65520   // from it on the nearest is infinity
	)
	switch {
	case v >= largest:
		return math.Inf(1)
	case v < smallest:
		return float64(math.RoundToEven(float64(v*0x1p24)) * 0x1p-24)
	}
	exponent := int(math.Float64bits(v)>>52) - 1023
	step := power(exponent - 10)
	return float64(math.RoundToEven(float64(v/step)) * step)
}

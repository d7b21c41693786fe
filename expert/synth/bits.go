package synth

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// bitLayout is a type whose blocks may be random bits but for their scales.
type bitLayout struct {
	d int // where the block's half-precision scale lies
	// unit is the standard deviation of the values at scale 1, measured over
	// random blocks.
	unit float64
	// min, if there is one, is where the half-precision scale of the minimums
	// lies, and ratio how many times the scale it must be for a mean of 0. A
	// negative ratio adds the minimum, where others subtract it.
	min   int
	ratio float64
	tidy  func(block []byte) // takes out bits that no quantiser writes
}

func (l bitLayout) scale(b []byte, sigma float64) {
	if l.tidy != nil {
		l.tidy(b)
	}
	d := sigma / l.unit
	if l.min > 0 {
		putHalf(b[l.min:], l.ratio*d)
	} else {
		d = signed(d, b[len(b)/2]) // the mean of the bits' values need not be 0
	}
	putHalf(b[l.d:], d)
}

// bitLayouts are the types that are filled so.
func bitLayouts() map[gguf.Type]bitLayout {
	return map[gguf.Type]bitLayout{
		gguf.Q4_1:   {unit: evenSigma(16), min: 2, ratio: -7.5},
		gguf.Q5_0:   {unit: evenSigma(32)},
		gguf.Q5_1:   {unit: evenSigma(32), min: 2, ratio: -15.5},
		gguf.Q2_K:   {d: 80, unit: 13.83, min: 82, ratio: 1.5},
		gguf.Q3_K:   {d: 108, unit: 42.99},
		gguf.Q5_K:   {unit: 529.2, min: 2, ratio: 15.5},
		gguf.IQ1S:   {unit: 7.21},
		gguf.IQ2XXS: {unit: 53.78},
		gguf.IQ2XS:  {unit: 56},
		gguf.IQ2S:   {unit: 56.43},
		gguf.IQ3XXS: {unit: 142.6},
		gguf.IQ3S:   {unit: 140.8},
		gguf.IQ4NL:  {unit: 67.43},
		gguf.IQ4XS:  {unit: 1246},
		gguf.TQ1_0:  {d: 52, unit: 0.8167},
		gguf.TQ2_0:  {d: 64, unit: 0.7068, tidy: noThrees},
	}
}

// noThrees: TQ2_0 has two bits for each of -1, 0 and 1; 3 means nothing.
func noThrees(b []byte) {
	for i, x := range b[:64] {
		b[i] = x &^ (x & (x << 1) & 0xaa)
	}
}

// iq1M: the block's scale is a half float whose four nibbles are the top ones
// of four 16-bit words of scales.
func iq1M(b []byte, sigma float64) {
	d := half(float32(sigma / iq1MUnit))
	for i := range 4 {
		at := 48 + 2*i + 1
		b[at] = b[at]&0x0f | byte(d>>(4*i)&0xf)<<4
	}
}

const iq1MUnit = 7.186

// mxfp4: one byte of exponent, then 32 four-bit floats. The deviation is the
// power of two next to the one asked for.
func mxfp4(b []byte, sigma float64) {
	b[0] = byte(128 + int(math.Round(math.Log2(sigma/mxfp4Unit))))
}

const mxfp4Unit = 5.862

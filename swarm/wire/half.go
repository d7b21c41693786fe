package wire

import (
	"encoding/binary"
	"math"

	"github.com/moeswarm/moeswarm/expert"
)

// mostHalf is the largest number of half precision (IEEE 754 binary16).
const mostHalf = 65504

// toHalf rounds x to half precision, ties to even. |x| is at most mostHalf.
func toHalf(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	b &^= 1 << 31
	if b < 113<<23 { // below the least normal half: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(b))*(1<<24)))
	}
	b -= 112 << 23 // the exponent's bias is 15, not 127
	return sign | uint16((b+0xfff+b>>13&1)>>13)
}

// fromHalf widens a half; infinities and NaNs stay what they are.
func fromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// fitsHalf reports whether half precision has room for all of v.
func fitsHalf(v []float32) bool {
	for _, x := range v {
		if !(x >= -mostHalf && x <= mostHalf) {
			return false
		}
	}
	return true
}

func appendHalves(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, toHalf(x))
	}
	return b
}

func halves(b []byte) []float32 {
	v := make([]float32, len(b)/2)
	for i := range v {
		v[i] = fromHalf(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return v
}

// Halved rounds results to what a reply in half precision brings, or leaves them
// where that has no room for them.
func Halved(results []expert.Result) []expert.Result {
	for _, r := range results {
		if !fitsHalf(r.Out.Data) {
			return results
		}
	}
	out := make([]expert.Result, len(results))
	for i, r := range results {
		out[i] = expert.Result{Err: r.Err, Out: expert.Batch{Rows: r.Out.Rows, Dim: r.Out.Dim, Data: make([]float32, len(r.Out.Data))}}
		for k, x := range r.Out.Data {
			out[i].Out.Data[k] = fromHalf(toHalf(x))
		}
	}
	return out
}

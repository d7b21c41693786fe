package synth

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// fill writes random blocks of type t over b whose values have mean 0 and
// about the given standard deviation. len(b) is a multiple of the block.
// Random bits are written first, eight bytes at a time, and the few bytes that
// must not be random are put right after: some gigabytes a second.
func fill(b []byte, t gguf.Type, sigma float64, r *rand.PCG) {
	if t == gguf.F32 || t == gguf.F16 || t == gguf.BF16 {
		fillPlain(b, t, sigma, r)
		return
	}
	fillBits(b, r)
	size, layouts := t.TypeSize(), bitLayouts()
	for at := 0; at < len(b); at += size {
		block := b[at : at+size]
		if l, ok := layouts[t]; ok {
			l.scale(block, sigma)
			continue
		}
		switch t {
		case gguf.Q4_0:
			q4_0(block, sigma)
		case gguf.Q8_0:
			q8_0(block, sigma)
		case gguf.Q4_K:
			q4K(block, sigma)
		case gguf.Q6_K:
			q6K(block, sigma)
		case gguf.IQ1M:
			iq1M(block, sigma)
		case gguf.MXFP4:
			mxfp4(block, sigma)
		default:
			panic("synth: no random blocks of type " + t.String()) // mixOf names no other
		}
	}
}

func fillBits(b []byte, r *rand.PCG) {
	n := len(b) &^ 7
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	last := r.Uint64()
	for i := n; i < len(b); i++ {
		b[i] = byte(last)
		last >>= 8
	}
}

// fillPlain writes floats, evenly spread between ±√3 sigma.
func fillPlain(b []byte, t gguf.Type, sigma float64, r *rand.PCG) {
	size := t.TypeSize()
	scale := sigma * math.Sqrt(3) / (1 << 63)
	for i := 0; i < len(b); i += size {
		x := float32(float64(int64(r.Uint64())) * scale)
		switch t {
		case gguf.F32:
			binary.LittleEndian.PutUint32(b[i:], math.Float32bits(x))
		case gguf.F16:
			binary.LittleEndian.PutUint16(b[i:], half(x))
		default:
			binary.LittleEndian.PutUint16(b[i:], uint16(math.Float32bits(x)>>16))
		}
	}
}

// evenSigma is the standard deviation of whole numbers spread evenly over n
// values.
func evenSigma(n float64) float64 { return math.Sqrt((n*n - 1) / 12) }

// q4_0: half d, 32 nibbles; d × (nibble - 8). The mean of nibble - 8 is -1/2,
// so d gets a random sign.
func q4_0(b []byte, sigma float64) {
	putHalf(b, signed(sigma/evenSigma(16), b[0]))
}

// q8_0: half d, 32 signed bytes. -128 does not occur in quantised data, and
// kernels rely on that.
func q8_0(b []byte, sigma float64) {
	putHalf(b, sigma/evenSigma(255))
	for i, q := range b[2:] {
		if q == 0x80 {
			b[2+i] = 0
		}
	}
}

// midScale is the middle of the 6-bit scales of q4K.
const midScale = 32

// q4K: half d, half dmin, 12 bytes of eight 6-bit scales and eight 6-bit mins,
// 256 nibbles; d × scale × nibble - dmin × min. With all scales and mins equal
// and dmin = 7.5 d the mean is 0.
func q4K(b []byte, sigma float64) {
	d := sigma / (midScale * evenSigma(16))
	putHalf(b, d)
	putHalf(b[2:], 7.5*d)
	// The low 6 bits of bytes 0-3 are scales, of 4-7 mins; bytes 8-11 hold the
	// low nibbles of the other four of each, whose high bits are the top bits
	// of bytes 0-7. 32 is 0b10_0000: high bits 0b10, low nibble 0.
	for i := range 8 {
		b[4+i] = midScale | 0b10<<6
	}
	for i := range 4 {
		b[12+i] = 0
	}
}

// q6K: 256 values of 6 bits in 192 bytes, 16 signed scales, half d; d × scale
// × (value - 32). The mean of value - 32 is -1/2, so scales get random signs.
func q6K(b []byte, sigma float64) {
	const scale = 16 // keeps d within the normal half floats
	for i := 192; i < 208; i++ {
		if b[i]&1 == 0 {
			b[i] = scale
		} else {
			b[i] = 0x100 - scale
		}
	}
	putHalf(b[208:], sigma/(scale*evenSigma(64)))
}

func signed(x float64, bit byte) float64 {
	if bit&1 == 0 {
		return x
	}
	return -x
}

func putHalf(b []byte, x float64) { binary.LittleEndian.PutUint16(b, half(float32(x))) }

// half rounds to the nearest IEEE 754 half float, ties to even. Numbers too
// large become infinite; callers have none.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	bits &^= 1 << 31
	a := math.Float32frombits(bits)
	switch {
	case a >= 65520: // the middle between the largest half and the next
		return sign | 0x7c00
	case a < 0x1p-14: // subnormal: steps of 2^-24
		return sign | uint16(math.RoundToEven(float64(a)*(1<<24)))
	}
	// Drop 13 bits of the fraction, rounding; a carry moves on into the
	// exponent, whose bias falls from 127 to 15.
	bits += 1<<12 - 1 + bits>>13&1
	return sign | uint16((bits-112<<23)>>13)
}

func putFloat(b []byte, x float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(x)) }

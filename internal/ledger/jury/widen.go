package jury

import (
	"encoding/binary"
	"math"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// wideners widen one block of each type. Scales have 11 significant bits and
// codes at most 8, so all products are exact in float64, fused or not; the
// differences of two of them are rounded once.
func wideners() map[gguf.Type]func(b []byte, y []float64) {
	return map[gguf.Type]func([]byte, []float64){
		gguf.F32:   func(b []byte, y []float64) { y[0] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) },
		gguf.F16:   func(b []byte, y []float64) { y[0] = scale(b) },
		gguf.BF16:  func(b []byte, y []float64) { y[0] = float64(math.Float32frombits(uint32(u16(b)) << 16)) },
		gguf.Q4_0:  widenQ40,
		gguf.Q4_1:  widenQ41,
		gguf.Q5_0:  widenQ50,
		gguf.Q5_1:  widenQ51,
		gguf.Q8_0:  widenQ80,
		gguf.Q2_K:  widenQ2K,
		gguf.Q3_K:  widenQ3K,
		gguf.Q4_K:  widenQ4K,
		gguf.Q5_K:  widenQ5K,
		gguf.Q6_K:  widenQ6K,
		gguf.IQ4NL: widenIQ4NL,
		gguf.IQ4XS: widenIQ4XS,
		gguf.MXFP4: widenMXFP4,
		gguf.TQ1_0: widenTQ10,
		gguf.TQ2_0: widenTQ20,

		gguf.IQ1S:   widenIQ1S,
		gguf.IQ1M:   widenIQ1M,
		gguf.IQ2XXS: widenIQ2XXS,
		gguf.IQ2XS:  widenIQ2XS,
		gguf.IQ2S:   widenIQ2S,
		gguf.IQ3XXS: widenIQ3XXS,
		gguf.IQ3S:   widenIQ3S,
	}
}

func u16(b []byte) uint16    { return binary.LittleEndian.Uint16(b) }
func scale(b []byte) float64 { return half(u16(b)) }

// affine is a code times a scale, and an offset.
func affine(d float64, code int, m float64) float64 { return float64(d*float64(code)) + m }

// nibbles widens the codes of 32 values, the low halves first.
func nibbles(q []byte, y []float64, value func(i, code int) float64) {
	for i, v := range q[:16] {
		y[i] = value(i, int(v&15))
		y[i+16] = value(i+16, int(v>>4))
	}
}

func widenQ40(b []byte, y []float64) {
	d := scale(b)
	nibbles(b[2:], y, func(_, code int) float64 { return affine(d, code-8, 0) })
}

func widenQ41(b []byte, y []float64) {
	d, m := scale(b), scale(b[2:])
	nibbles(b[4:], y, func(_, code int) float64 { return affine(d, code, m) })
}

func widenQ50(b []byte, y []float64) {
	d, high := scale(b), binary.LittleEndian.Uint32(b[2:])
	nibbles(b[6:], y, func(i, code int) float64 { return affine(d, code+int(high>>i&1)<<4-16, 0) })
}

func widenQ51(b []byte, y []float64) {
	d, m, high := scale(b), scale(b[2:]), binary.LittleEndian.Uint32(b[4:])
	nibbles(b[8:], y, func(i, code int) float64 { return affine(d, code+int(high>>i&1)<<4, m) })
}

func widenQ80(b []byte, y []float64) {
	d := scale(b)
	for i := range y {
		y[i] = affine(d, int(int8(b[2+i])), 0)
	}
}

// codebook are the values that IQ4_NL and IQ4_XS have instead of even steps.
var codebook = [16]int{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func widenIQ4NL(b []byte, y []float64) {
	d := scale(b)
	nibbles(b[2:], y, func(_, code int) float64 { return affine(d, codebook[code], 0) })
}

func widenIQ4XS(b []byte, y []float64) {
	d, high, low := scale(b), u16(b[2:]), b[4:8]
	for k := range 8 {
		s := int(low[k/2]>>(4*(k%2))&15) | int(high>>(2*k)&3)<<4
		dl := float64(d * float64(s-32))
		nibbles(b[8+16*k:], y[32*k:], func(_, code int) float64 { return affine(dl, codebook[code], 0) })
	}
}

// fp4 are the values of a float of 4 bits, doubled.
var fp4 = [16]int{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

func widenMXFP4(b []byte, y []float64) {
	d := power(int(b[0]) - 128) // half of the scale, for the doubled values
	nibbles(b[1:], y, func(_, code int) float64 { return affine(d, fp4[code], 0) })
}

// trit is digit n of five base-three digits packed into a byte.
func trit(v byte, n int) int {
	power := [5]byte{1, 3, 9, 27, 81}[n]
	return int(uint16(v*power)*3>>8) - 1
}

func widenTQ10(b []byte, y []float64) {
	d := scale(b[52:])
	at := 0
	part := func(q []byte, digits int) {
		for n := range digits {
			for _, v := range q {
				y[at] = affine(d, trit(v, n), 0)
				at++
			}
		}
	}
	part(b[:32], 5)
	part(b[32:48], 5)
	part(b[48:52], 4)
}

func widenTQ20(b []byte, y []float64) {
	d := scale(b[64:])
	for i := range y {
		v := b[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		y[i] = affine(d, int(v)-1, 0)
	}
}

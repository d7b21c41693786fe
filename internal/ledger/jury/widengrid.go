package jury

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
)

// The IQ1, IQ2 and IQ3 types name eight or four values at once by their place in
// a table, which was fitted to weights and follows no rule.

// grids holds the tables, one behind the other, an entry in 16 bits,
// little-endian: the codes of eight values in two bits each, or of four in three,
// the first lowest. TestGrids compares every entry with what ggml
// makes of it.
//
//go:embed grids.bin
var grids string

// Where each table begins, and its entries.
const (
	gridIQ2XXS = 0
	gridIQ2XS  = gridIQ2XXS + 256
	gridIQ2S   = gridIQ2XS + 512
	gridIQ3XXS = gridIQ2S + 1024
	gridIQ3S   = gridIQ3XXS + 256
	gridIQ1    = gridIQ3S + 512
	gridsEnd   = gridIQ1 + 2048
)

// entry is one of a table.
func entry(grid, i int) int {
	at := 2 * (grid + i)
	return int(grids[at]) | int(grids[at+1])<<8
}

// paired are the values of two-bit codes, stepped those of three bits in IQ3_XXS.
// In IQ3_S they are odd numbers, in IQ1 -1, 0 and 1.
var (
	paired  = [4]int{8, 25, 43}
	stepped = [8]int{4, 12, 20, 28, 36, 44, 52, 62}
)

// eight widens eight values of an IQ2 table, four those of an IQ3 table; bit j of
// signs is the sign of value j.
func eight(y []float64, d float64, entry int, signs byte) {
	for j := range 8 {
		y[j] = signed(float64(d*float64(paired[entry>>(2*j)&3])), signs>>j)
	}
}

func four(y []float64, d float64, entry int, signs byte, value func(code int) int) {
	for j := range 4 {
		y[j] = signed(float64(d*float64(value(entry>>(3*j)&7))), signs>>j)
	}
}

func signed(v float64, bit byte) float64 {
	if bit&1 != 0 {
		return -v
	}
	return v
}

// evenSigns are eight signs of which seven are stored: the number of minuses is
// even.
func evenSigns(code uint32) byte {
	s := byte(code & 127)
	return s | byte(bits.OnesCount8(s)&1)<<7
}

// half4 is a scale of four bits, with a half added, times a power of two.
func half4(d float64, code uint32, unit float64) float64 {
	return float64(float64(d*(float64(code)+0.5)) * unit)
}

func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func widenIQ2XXS(b []byte, y []float64) {
	d := scale(b)
	for k := range 8 {
		q := b[2+8*k:]
		word := u32(q[4:])
		dk := half4(d, word>>28, 0.25)
		for l := range 4 {
			eight(y[32*k+8*l:], dk, entry(gridIQ2XXS, int(q[l])), evenSigns(word>>(7*l)))
		}
	}
}

func widenIQ2XS(b []byte, y []float64) {
	d := scale(b)
	for l := range 32 {
		q := u16(b[2+2*l:])
		dk := half4(d, uint32(b[66+l/4]>>(4*(l/2%2))&15), 0.25)
		eight(y[8*l:], dk, entry(gridIQ2XS, int(q&511)), evenSigns(uint32(q>>9)))
	}
}

func widenIQ2S(b []byte, y []float64) {
	d, low, signs, high, scales := scale(b), b[2:34], b[34:66], b[66:74], b[74:82]
	for l := range 32 {
		dk := half4(d, uint32(scales[l/4]>>(4*(l/2%2))&15), 0.25)
		eight(y[8*l:], dk, entry(gridIQ2S, int(low[l])|int(high[l/4]>>(2*(l%4))&3)<<8), signs[l])
	}
}

func widenIQ3XXS(b []byte, y []float64) {
	d, q, words := scale(b), b[2:66], b[66:98]
	value := func(code int) int { return stepped[code] }
	for l := range 32 {
		word := u32(words[4*(l/4):])
		dk, signs := half4(d, word>>28, 0.5), evenSigns(word>>(7*(l%4)))
		four(y[8*l:], dk, entry(gridIQ3XXS, int(q[2*l])), signs, value)
		four(y[8*l+4:], dk, entry(gridIQ3XXS, int(q[2*l+1])), signs>>4, value)
	}
}

func widenIQ3S(b []byte, y []float64) {
	d, low, high, signs, scales := scale(b), b[2:66], b[66:74], b[74:106], b[106:110]
	value := func(code int) int { return 2*code + 1 }
	for i := range 64 { // fours of values
		k := i / 8
		dk := float64(d * float64(1+2*int(scales[k/2]>>(4*(k%2))&15)))
		four(y[4*i:], dk, entry(gridIQ3S, int(low[i])|int(high[k]>>(i%8)&1)<<8), signs[i/2]>>(4*(i%2)), value)
	}
}

// shifted widens eight values of -1, 0 and 1 with an eighth added or taken.
func shifted(y []float64, d float64, entry int, minus bool) {
	delta := 0.125
	if minus {
		delta = -delta
	}
	for j := range 8 {
		y[j] = float64(d * (float64(entry>>(2*j)&3) - 1 + delta))
	}
}

func widenIQ1S(b []byte, y []float64) {
	d, low := scale(b), b[2:34]
	for l := range 32 {
		h := int(u16(b[34+2*(l/4):]))
		dk := float64(d * float64(2*(h>>12&7)+1))
		shifted(y[8*l:], dk, entry(gridIQ1, int(low[l])|h>>(3*(l%4))&7<<8), h>>15 != 0)
	}
}

func widenIQ1M(b []byte, y []float64) {
	low, high := b[:32], b[32:48]
	var scales [4]uint16
	var bits uint16 // of the block's scale, in the top of each
	for i := range scales {
		scales[i] = u16(b[48+2*i:])
		bits |= scales[i] >> 12 << (4 * i)
	}
	d := half(bits)
	for l := range 32 {
		h := int(high[l/2] >> (4 * (l % 2)))
		dk := float64(d * float64(2*(scales[l/8]>>(3*(l/2%4))&7)+1))
		shifted(y[8*l:], dk, entry(gridIQ1, int(low[l])|h&7<<8), h&8 != 0)
	}
}

package transcript

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Values is how many values a fingerprint has, if the rows have as many.
const Values = 128

// Fingerprint is the largest values, by magnitude, of some rows of hidden
// states, as bfloat16: 6 bytes each.
type Fingerprint []Value

// Value is one of them.
type Value struct {
	Index uint32 // row·dim + column
	Bits  uint16 // of the bfloat16
}

func bfloat(v float32) uint16 { return uint16((math.Float32bits(v) + 0x8000) >> 16) }

// Take makes the fingerprint of rows of hidden states. Equal magnitudes go to
// the lower index; the values come in the order of their indices.
func Take(rows []float32) Fingerprint {
	order := make([]uint32, len(rows))
	for i := range order {
		order[i] = uint32(i)
	}
	size := func(i uint32) float32 { return math.Float32frombits(math.Float32bits(rows[i]) &^ (1 << 31)) }
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b)) })
	order = order[:min(Values, len(order))]
	slices.Sort(order)
	f := make(Fingerprint, len(order))
	for i, at := range order {
		f[i] = Value{at, bfloat(rows[at])}
	}
	return f
}

// Difference is how a fingerprint compares with rows computed again.
type Difference struct {
	Exponents float64 // share of values with the same sign and exponent
	Mean      float64 // difference of the mantissas of those, in units of 2^-7
	Median    float64
}

// Compare looks up the fingerprint's values in rows. A value outside of them has
// no equal.
func (f Fingerprint) Compare(rows []float32) Difference {
	if len(f) == 0 {
		return Difference{}
	}
	var off []float64
	for _, v := range f {
		if int64(v.Index) >= int64(len(rows)) {
			continue
		}
		if own := bfloat(rows[v.Index]); own>>7 == v.Bits>>7 {
			off = append(off, math.Abs(float64(own&127)-float64(v.Bits&127)))
		}
	}
	d := Difference{Exponents: float64(len(off)) / float64(len(f)), Mean: 128, Median: 128}
	if len(off) > 0 {
		slices.Sort(off)
		sum := 0.0
		for _, x := range off {
			sum += x
		}
		d.Mean, d.Median = sum/float64(len(off)), off[len(off)/2]
	}
	return d
}

// AppendBinary writes a count and the values.
func (f Fingerprint) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
	for _, v := range f {
		b = binary.BigEndian.AppendUint32(b, v.Index)
		b = binary.BigEndian.AppendUint16(b, v.Bits)
	}
	return b
}

// parseFingerprint reads what append wrote; indices must ascend.
func parseFingerprint(b []byte) (f Fingerprint, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("%w: a fingerprint that ends early", ledger.ErrMalformed)
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if n > Values || len(b) < 6*n {
		return nil, nil, fmt.Errorf("%w: a fingerprint of %d values in %d bytes", ledger.ErrMalformed, n, len(b))
	}
	for i := range n {
		v := Value{binary.BigEndian.Uint32(b[6*i:]), binary.BigEndian.Uint16(b[6*i+4:])}
		if i > 0 && v.Index <= f[i-1].Index {
			return nil, nil, fmt.Errorf("%w: a fingerprint out of order", ledger.ErrMalformed)
		}
		f = append(f, v)
	}
	return f, b[6*n:], nil
}

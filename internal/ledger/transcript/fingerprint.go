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
const Values = ledger.MaxMarks

// Fingerprint is the largest values, by magnitude, of some rows of hidden
// states, as bfloat16: 6 bytes each.
type Fingerprint []Value

// Value is one of them; its index is row·dim + column.
type Value = ledger.Mark

func bfloat(v float32) uint16 { return uint16((math.Float32bits(v) + 0x8000) >> 16) }

// Take makes the fingerprint of rows of hidden states. Equal magnitudes go to
// the lower index; the values come in the order of their indices.
func Take(rows []float32) Fingerprint {
	var l largest
	for i, v := range rows {
		l.offer(uint32(i), math.Float32bits(v)&^(1<<31))
	}
	slices.SortFunc(l, func(a, b sized) int { return cmp.Compare(a.index, b.index) })
	f := make(Fingerprint, len(l))
	for i, x := range l {
		f[i] = Value{Index: x.index, Bits: bfloat(rows[x.index])}
	}
	return f
}

// largest is a heap of the largest values so far, the least of them first.
type largest []sized

// sized is a value: its place and its magnitude, the bits of a positive float,
// whose order is that of the numbers.
type sized struct{ index, size uint32 }

func (a sized) less(b sized) bool { return a.size < b.size || a.size == b.size && a.index > b.index }

// offer takes in a value with a higher index than all before.
func (l *largest) offer(index, size uint32) {
	h := *l
	if len(h) < Values {
		*l = append(h, sized{index, size})
		for i := len(h); i > 0; {
			up := (i - 1) / 2
			if !(*l)[i].less((*l)[up]) {
				break
			}
			(*l)[i], (*l)[up] = (*l)[up], (*l)[i]
			i = up
		}
		return
	}
	if size <= h[0].size {
		return
	}
	h[0] = sized{index, size}
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].less(h[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
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

// append writes a count and the values.
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
		v := Value{Index: binary.BigEndian.Uint32(b[6*i:]), Bits: binary.BigEndian.Uint16(b[6*i+4:])}
		if i > 0 && v.Index <= f[i-1].Index {
			return nil, nil, fmt.Errorf("%w: a fingerprint out of order", ledger.ErrMalformed)
		}
		f = append(f, v)
	}
	return f, b[6*n:], nil
}

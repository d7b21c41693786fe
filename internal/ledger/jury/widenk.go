package jury

// The K types: blocks of 256 values, whose sixteenths or eighths have scales of
// their own, kept as small whole numbers.

func widenQ2K(b []byte, y []float64) {
	scales, q := b[:16], b[16:80]
	d, m := scale(b[80:]), scale(b[82:])
	for i := range y {
		s := scales[i/16]
		code := q[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		y[i] = affine(float64(d*float64(s&15)), int(code), -float64(m*float64(s>>4)))
	}
}

func widenQ3K(b []byte, y []float64) {
	high, q, packed := b[:32], b[32:96], b[96:108]
	d := scale(b[108:])
	for i := range y {
		k := i / 16 // which scale: four low bits, and two of the last four bytes
		s := int(packed[k%8]>>(4*(k/8))&15) | int(packed[8+k%4]>>(2*(k/4))&3)<<4
		code := int(q[i/128*32+i%32]>>(i%128/32*2)&3) + int(high[i%32]>>(i/32)&1)<<2 - 4
		y[i] = affine(float64(d*float64(s-32)), code, 0)
	}
}

// scaleMin unpacks the scale and the offset of eighth k of Q4_K and Q5_K.
func scaleMin(packed []byte, k int) (s, m byte) {
	if k < 4 {
		return packed[k] & 63, packed[k+4] & 63
	}
	return packed[k+4]&15 | packed[k-4]>>6<<4, packed[k+4]>>4 | packed[k]>>6<<4
}

func widenQ4K(b []byte, y []float64) {
	d, m, q := scale(b), scale(b[2:]), b[16:]
	for k := range 8 {
		s, o := scaleMin(b[4:16], k)
		ds, mo := float64(d*float64(s)), -float64(m*float64(o))
		for i := range 32 {
			y[32*k+i] = affine(ds, int(q[k/2*32+i]>>(4*(k%2))&15), mo)
		}
	}
}

func widenQ5K(b []byte, y []float64) {
	d, m, high, q := scale(b), scale(b[2:]), b[16:48], b[48:]
	for k := range 8 {
		s, o := scaleMin(b[4:16], k)
		ds, mo := float64(d*float64(s)), -float64(m*float64(o))
		for i := range 32 {
			code := int(q[k/2*32+i]>>(4*(k%2))&15) + int(high[i]>>k&1)<<4
			y[32*k+i] = affine(ds, code, mo)
		}
	}
}

func widenQ6K(b []byte, y []float64) {
	low, high, scales := b[:128], b[128:192], b[192:208]
	d := scale(b[208:])
	for i := range y {
		half, quarter, l := i/128, i%128/32, i%32
		code := int(low[half*64+quarter%2*32+l] >> (quarter / 2 * 4) & 15)
		code |= int(high[half*32+l]>>(2*quarter)&3) << 4
		s := float64(int8(scales[i/16]))
		y[i] = affine(float64(d*s), code-32, 0)
	}
}

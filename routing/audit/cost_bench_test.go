package audit

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// BenchmarkProjectionTest is the arithmetic of a projection audit of 16 rows of
// an expert of 2048 by 1024; ns/op ÷ 16 is a row's.
func BenchmarkProjectionTest(b *testing.B) {
	const dim, ff, rows = 2048, 1024, 16
	fill := func(x expert.Batch) expert.Batch {
		for i := range x.Data {
			x.Data[i] = float32(i*7919%1000)/500 - 1
		}
		return x
	}
	in := fill(expert.NewBatch(rows, dim))
	s := &secret{rd: fill(expert.NewBatch(projections, dim)), rg: fill(expert.NewBatch(projections, ff)), ru: fill(expert.NewBatch(projections, ff)),
		sd: fill(expert.NewBatch(projections, ff)), sg: fill(expert.NewBatch(projections, dim)), su: fill(expert.NewBatch(projections, dim))}
	h, out := fill(expert.NewBatch(1, ff)), fill(expert.NewBatch(1, dim))
	for _, how := range []rounding{asFloats, per32, per256} {
		b.Run([]string{"float", "per 32", "per 256"}[how], func(b *testing.B) {
			for b.Loop() {
				x := rounded(in, how)
				for r := range rows {
					square(h.Data)
					square(h.Data)
					square(out.Data)
					project(s.rg, h.Data)
					project(s.ru, h.Data)
					project(s.rd, out.Data)
					project(s.sg, x.Row(r))
					project(s.su, x.Row(r))
					project(s.sd, rounded(h, how).Data)
				}
			}
		})
	}
}

package expert

import (
	"context"

	"github.com/moeswarm/moeswarm/internal/ggml"
)

// applySplit computes few calls, each shared out over all workers: with less
// than two calls a worker, one of them would have the last call to itself
// while the others wait. The bits are those of whole calls.
func (s *Set) applySplit(ctx context.Context, q *quantized, calls []Call, ffns []ggml.FFN, held []int, results []Result) {
	parts := s.pool.Workers()
	for len(q.splits) < len(held) {
		q.splits = append(q.splits, new(ggml.Split))
	}
	if err := ctx.Err(); err != nil {
		for _, i := range held {
			results[i].Err = err
		}
		return
	}
	for k, i := range held {
		t, _ := ffns[k].Activations()
		q.splits[k].Begin(ffns[k], q.in(t), calls[i].Rows)
		results[i].Out = NewBatch(len(calls[i].Rows), s.dim)
	}
	s.pool.Do(len(held)*parts, func(_ *ggml.Scratch, j int) { q.splits[j/parts].Inner(j%parts, parts) })
	for k := range held {
		q.splits[k].Quantize()
	}
	s.pool.Do(len(held)*parts, func(_ *ggml.Scratch, j int) {
		q.splits[j/parts].Outer(j%parts, parts, results[held[j/parts]].Out.Data)
	})
}

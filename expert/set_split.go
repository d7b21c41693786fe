package expert

import "github.com/moeswarm/moeswarm/internal/ggml"

// applySplit computes few calls, each shared out over all workers: with less
// than two calls a worker, one of them would have the last call to itself
// while the others wait. The bits are those of whole calls.
func (s *Set) applySplit(q *quantized) {
	q.parts = s.pool.Workers()
	for len(q.splits) < len(q.held) {
		q.splits = append(q.splits, new(ggml.Split))
	}
	if err := q.ctx.Err(); err != nil {
		for _, i := range q.held {
			q.results[i] = Result{Err: err}
		}
		return
	}
	for k, i := range q.held {
		t, _ := q.ffns[k].Activations()
		q.splits[k].Begin(q.ffns[k], q.in(t), q.calls[i].Rows)
	}
	s.pool.Do(len(q.held)*q.parts, q.inner)
	for k := range q.held {
		q.splits[k].Quantize()
	}
	s.pool.Do(len(q.held)*q.parts, q.outer)
}

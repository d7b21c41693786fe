package expert

import "github.com/moeswarm/moeswarm/internal/ggml"

// wholeCalls is from how many calls a worker on each is computed whole. With
// fewer, the workers wait too long for who has the last one.
const wholeCalls = 4

// applySplit computes few calls, each shared out over all workers. The bits are
// those of whole calls.
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

package expert

import "github.com/moeswarm/moeswarm/internal/ggml"

// wholeCalls is from how many calls a worker on each is computed whole. With
// fewer, the workers wait too long for who has the last one.
const wholeCalls = 4

// splitRows is up to how many rows of all calls they are shared out nevertheless:
// what is between the two halves of all of them is in memory at the same time.
const splitRows = 128

// piecesPerWorker is how many times as many pieces as workers half a call is cut
// into, so that one who is held up keeps the others waiting for little.
const piecesPerWorker = 4

// applySplit computes few calls, each shared out over all workers. The bits are
// those of whole calls.
func (s *Set) applySplit(q *quantized) {
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
		q.splits[k].Begin(q.ffns[k], q.in(t), q.calls[i].Rows, q.results[i].Out.Data)
	}
	s.pool.Feed(q.splits[:len(q.held)], s.pool.Workers()*piecesPerWorker)
}

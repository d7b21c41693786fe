package trunk

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// wave is a lane's place among the lanes that share the rows of one step. In each
// layer it needs keys and values of the rows before its own, and no more of them:
// it may be in a layer as soon as they have stored those, while their experts
// are still being asked.
type wave struct {
	before <-chan struct{} // a value for each layer in which the rows before are stored; nil: there are none
	behind chan<- struct{} // the same for the rows behind; with room for all layers
}

// follow waits until the rows before are stored in the layer at hand. The lane has
// the turn, but meanwhile.
func (t *Lane) follow(ctx context.Context) error {
	if t.place.before == nil {
		return nil
	}
	select {
	case <-t.place.before:
		return nil
	default:
	}
	t.give()
	defer t.take()
	select {
	case <-t.place.before:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass tells the rows behind that those of this lane are stored in the layer.
func (t *Lane) pass() {
	if t.place.behind != nil {
		t.place.behind <- struct{}{}
	}
}

// inWaves runs a step whose rows are prepared as s.Waves lanes, one behind the
// other.
func (t *Lane) inWaves(ctx context.Context, s Step) (expert.Batch, error) {
	began := time.Now()
	for len(t.waves) < s.Waves {
		t.waves = append(t.waves, t.NewLane())
	}
	step, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	logits := make([]expert.Batch, s.Waves)
	var failed atomic.Bool
	var under sync.WaitGroup
	var before chan struct{}
	for i := range s.Waves {
		first, last := s.Rows()*i/s.Waves, s.Rows()*(i+1)/s.Waves
		w, part, ctx := t.waves[i], s.part(first, last), expert.WithFirstRow(step, first)
		w.seqs = append(w.seqs[:0], t.seqs[first:last]...)
		w.place = wave{before: before}
		if before = nil; i < s.Waves-1 {
			before = make(chan struct{}, len(t.w.layers))
			w.place.behind = before
		}
		under.Go(func() {
			var err error
			if logits[i], err = w.through(ctx, part); err != nil {
				stop(err) // the first one counts: others fail because of it
				failed.Store(true)
			}
		})
	}
	under.Wait()
	if failed.Load() {
		return expert.Batch{}, context.Cause(step)
	}
	t.gather(logits)
	t.compute = 0
	for _, w := range t.waves[:s.Waves] {
		t.compute += w.compute
	}
	t.experts = max(time.Since(began)-t.compute, 0)
	return expert.Batch{Rows: len(s.Logits), Dim: t.shape.Vocab, Data: t.logits}, nil
}

// gather puts together what the waves of a step gave.
func (t *Lane) gather(logits []expert.Batch) {
	t.logits, t.hidden = t.logits[:0], t.hidden[:0]
	for i, l := range logits {
		t.logits = append(t.logits, l.Data...)
		t.hidden = append(t.hidden, t.waves[i].hidden...)
	}
}

package trunk

import (
	"context"
	"errors"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// Mixer runs the sparse part of one layer: for each row of h, (Rows, Dim), it
// writes to out, of the same shape, the weighted sum of the experts that its gate
// scores, a row of (Rows, Experts), choose. Nothing of what it is given is used
// after it has returned. *gating.Layer is one. Several lanes use it at once.
type Mixer interface {
	Mix(ctx context.Context, layer int, h, scores, out expert.Batch) error
}

// Config of a [Trunk].
type Config struct {
	Model *expert.Model // stays open as long as the trunk is used
	Mixer Mixer         // may be nil for a model without experts
	Pool  *ggml.Pool
}

// Trunk is the dense part of one model with the keys and values of its
// sequences.
type Trunk struct {
	shape  expert.Shape
	design expert.Design
	w      weights
	mixer  Mixer
	pool   *ggml.Pool
	rope   rope
	kv     cache
	// turn is held by the lane that computes. It has room for one.
	turn chan struct{}
	own  *Lane // of Forward
}

// New checks the configuration and finds the trunk's tensors.
func New(cfg Config) (*Trunk, error) {
	if cfg.Model == nil || cfg.Pool == nil || cfg.Mixer == nil && len(cfg.Model.Shape().SparseLayers) > 0 {
		return nil, errors.New("trunk: needs a model, a mixer and a pool")
	}
	w, err := load(cfg.Model)
	if err != nil {
		return nil, err
	}
	s, d := cfg.Model.Shape(), cfg.Model.Design()
	keys, values := stored(s, d)
	t := &Trunk{
		shape: s, design: d, w: w, mixer: cfg.Mixer, pool: cfg.Pool,
		rope: newRope(d.Rope, w.frequencies),
		kv:   newCache(s.Layers, keys, values, s.Context),
		turn: make(chan struct{}, 1),
	}
	t.own = t.NewLane()
	return t, nil
}

// Forward runs one step on a lane of the trunk's own; see [Lane.Forward]. It is
// for callers that run one step at a time.
func (t *Trunk) Forward(ctx context.Context, s Step) (expert.Batch, error) {
	return t.own.Forward(ctx, s)
}

// The slots given to the following are in no step meanwhile.

// Release forgets a slot's keys and values.
func (t *Trunk) Release(slot int) { t.kv.release(slot) }

// Truncate forgets what a slot holds from position n on.
func (t *Trunk) Truncate(slot, n int) { t.kv.truncate(slot, n) }

// Copy gives slot to the first n positions of slot from, or as many as that
// holds, in place of what it held, and returns how many those are.
func (t *Trunk) Copy(from, to, n int) int { return t.kv.copy(from, to, n) }

// Held is the number of positions that a slot holds.
func (t *Trunk) Held(slot int) int { return t.kv.held(slot) }

// Bytes is the memory that a slot of n positions takes.
func (t *Trunk) Bytes(n int) int64 { return t.kv.bytes(n) }

// stored is how many floats of keys and of values a layer keeps per position.
func stored(s expert.Shape, d expert.Design) (keys, values int) {
	switch m := d.Attention.Latent; {
	case m == nil:
		return s.KVHeads * s.HeadDim, s.KVHeads * s.HeadDim
	case m.Absorbed:
		return m.Rank + m.Rotated, 0 // the values are part of the keys
	default:
		return s.Heads * s.HeadDim, s.Heads * m.ValueDim
	}
}

package gating

import (
	"context"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
)

// Trace remembers which experts the rows of a step chose, for whoever wants to
// check the step later: it goes with the step's context through the trunk to
// each [Layer.Mix]. A step that is run again is remembered anew. One step uses it
// at a time, of which several parts may be under way.
type Trace struct {
	layers []int
	k      int

	mu     sync.Mutex
	chosen []uint16 // (rows, layers, k)
	counts []int    // of the layer at hand, by row
}

// NewTrace is for steps of a model with these sparse layers and k experts a row
// in each.
func NewTrace(layers []int, k int) *Trace { return &Trace{layers: layers, k: k} }

// PerRow is how many experts a row chooses in all layers together.
func (t *Trace) PerRow() int { return len(t.layers) * t.k }

// Begin makes room for a step of so many rows.
func (t *Trace) Begin(rows int) { t.chosen = sized(t.chosen, rows*t.PerRow()) }

// Row is what a row of the step chose, by layer, in each by expert. It is valid
// until the next step.
func (t *Trace) Row(i int) []uint16 { return t.chosen[i*t.PerRow() : (i+1)*t.PerRow()] }

// note takes in the calls of a layer for so many rows of the step from one on.
func (t *Trace) note(layer, first, rows int, calls []expert.Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.layers, layer)
	if at < 0 || (first+rows)*t.PerRow() > len(t.chosen) {
		return
	}
	t.counts = sized(t.counts, rows)
	clear(t.counts)
	for _, c := range calls {
		for _, r := range c.Rows {
			if n := t.counts[r]; n < t.k {
				t.chosen[((first+int(r))*len(t.layers)+at)*t.k+n] = c.Expert.Index
				t.counts[r]++
			}
		}
	}
}

// notes are what goes with a step besides its rows.
type notes struct {
	effort *BestEffort
	trace  *Trace
}

type notesKey struct{}

func notesOf(ctx context.Context) notes {
	n, _ := ctx.Value(notesKey{}).(*notes)
	if n == nil {
		return notes{}
	}
	return *n
}

func (n notes) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, notesKey{}, &n)
}

// WithTrace gives the context of a step what remembers its choices.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	n := notesOf(ctx)
	n.trace = t
	return n.with(ctx)
}

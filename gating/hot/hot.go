// Package hot decides which experts a gating node keeps at home, so that layers
// whose chosen experts are all there cost no round over the network.
//
// [Counts] measures how often each expert of a model is used, and forgets
// slowly; [Choose] picks the hottest for a budget of memory, and [Worth] says
// when fetching an expert takes less than sending it the rows that wait for it.
// The last two are pure functions. Nothing here fetches or computes.
package hot

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// halfLife is how many token rows of a layer it takes until what was before
// counts half: some long answers. What is hot depends on what is talked about.
const halfLife = 4096

// Counts is how often the experts of a model were used lately, in rows. It may
// be used by several goroutines at once.
type Counts struct {
	mu     sync.Mutex
	layers map[int]*layerCounts
}

// layerCounts grow instead of the old ones shrinking: a row weighs more and more,
// until all are scaled down.
type layerCounts struct {
	rows   []float64 // by expert
	weight float64   // of a row now
}

const scaleDown = 1e12

// NewCounts counts nothing yet.
func NewCounts() *Counts { return &Counts{layers: make(map[int]*layerCounts)} }

// Observe takes in the calls of one layer for a batch of so many rows.
func (c *Counts) Observe(rows int, calls []expert.Call) {
	if len(calls) == 0 || rows < 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := int(calls[0].Expert.Layer)
	l := c.layers[id]
	if l == nil {
		l = &layerCounts{weight: 1}
		c.layers[id] = l
	}
	for _, call := range calls {
		for len(l.rows) <= int(call.Expert.Index) {
			l.rows = append(l.rows, 0)
		}
		l.rows[call.Expert.Index] += l.weight * float64(len(call.Rows))
	}
	l.weight *= math.Exp2(float64(rows) / halfLife)
	if l.weight > scaleDown {
		for i := range l.rows {
			l.rows[i] /= l.weight
		}
		l.weight = 1
	}
}

// Rate is the share of a layer's lately seen rows that used an expert, times a
// factor that is the same for all experts of all layers.
func (c *Counts) Rate(s expert.Slot) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.layers[s.Layer]
	if l == nil || s.Index >= len(l.rows) {
		return 0
	}
	return l.rows[s.Index] / l.weight
}

// Candidate is an expert that may be kept at home.
type Candidate struct {
	Slot  expert.Slot
	Bytes int64
	Rate  float64 // see Counts.Rate
	Kept  bool    // it is at home now
}

// stickiness is how much hotter another expert must be to take the place of one
// that is kept: a fetch costs something, and counts are noisy.
const stickiness = 1.25

// Choose picks the experts to keep within budget bytes: the hottest for their
// size first, and among nearly equals those that are kept already. An expert
// that was not used is not kept. The result is in no order.
func Choose(candidates []Candidate, budget int64) (keep []expert.Slot) {
	value := func(c Candidate) float64 {
		v := c.Rate / float64(max(c.Bytes, 1))
		if c.Kept {
			v *= stickiness
		}
		return v
	}
	candidates = slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return c.Rate <= 0 })
	slices.SortFunc(candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Slot.Layer, b.Slot.Layer), cmp.Compare(a.Slot.Index, b.Slot.Index))
	})
	for _, c := range candidates {
		if c.Bytes <= budget {
			keep, budget = append(keep, c.Slot), budget-c.Bytes
		}
	}
	return keep
}

// Worth reports whether an expert should be fetched because of the rows that
// wait for it: whether their way to a holder and back, at rate bytes a second,
// takes longer than the expert's way here, and there is room for it. rowBytes is
// what one row takes in one direction.
func Worth(rows int, rowBytes, expertBytes int64, rate float64, room int64) bool {
	if rate <= 0 || expertBytes > room {
		return false
	}
	return float64(rows)*2*float64(rowBytes)/rate > float64(expertBytes)/rate+fetchDelay.Seconds()
}

// fetchDelay is what a fetch takes besides the bytes: some round trips for the
// tree and the first chunk, and the disk.
const fetchDelay = 100 * time.Millisecond

// Applier counts what passes through to another applier. It is a Summer, too,
// when the other is one.
type Applier struct {
	expert.Applier
	Counts *Counts
	// Waiting is told of calls with their rows, before they are made; nil: nobody.
	Waiting func(calls []expert.Call, rowBytes int64)
}

// Apply implements [expert.Applier].
func (a *Applier) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	a.observe(in, calls)
	return a.Applier.Apply(ctx, in, calls)
}

// ApplyIn implements [expert.Reuser].
func (a *Applier) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	a.observe(in, calls)
	return expert.ApplyIn(ctx, a.Applier, in, calls, room)
}

// Sum implements [expert.Summer] over one.
func (a *Applier) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	a.observe(in, calls)
	return a.Applier.(expert.Summer).Sum(ctx, in, calls)
}

func (a *Applier) observe(in expert.Batch, calls []expert.Call) {
	a.Counts.Observe(in.Rows, calls)
	if a.Waiting != nil && in.Rows > 1 {
		a.Waiting(calls, 4*int64(in.Dim))
	}
}

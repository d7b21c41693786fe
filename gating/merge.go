package gating

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// MergerConfig of a [Merger].
type MergerConfig struct {
	Applier expert.Applier
	// Window is how long a step may wait for others, at most; 0: not at all.
	// It is asked anew each time.
	Window func() time.Duration
	// Rows are enough: with so many, nobody waits. 0: 64.
	Rows int
	// Join makes a context for work that is done for several steps, of theirs,
	// with the cancellation of none; nil: like the first one's.
	Join func(steps ...context.Context) context.Context
}

// Merger makes one of the calls of several steps for the same layer: rows of
// different sequences for the same expert travel together and are computed
// together. It holds calls back only for steps that are on their way to the
// same layer, since they had their answers of the layer before within the
// window; so a step without company never waits. What each step gets is what
// it would have got alone, since rows do not depend on each other.
type Merger struct {
	cfg MergerConfig

	mu struct {
		sync.Mutex
		open map[place]*gathering
		due  []setOut // steps on their way to a layer, the first to set out first
	}
}

// place is where calls can meet.
type place struct {
	model expert.ModelID
	layer int
	dim   int
}

// setOut is when a step set out for a place.
type setOut struct {
	to place
	at time.Time
}

// gathering is calls that wait for others.
type gathering struct {
	parts []*part
	rows  int
	full  chan struct{} // closed when nobody else is to be waited for
}

// part is the calls of one step. Who follows may give up waiting at any time,
// so its part is a copy, and its results go through a channel with room for
// them.
type part struct {
	ctx     context.Context
	in      expert.Batch
	calls   []expert.Call
	results chan []expert.Result
}

// MergeWindow is how long a step may wait for others to be merged with, where a
// round waits for the network for so long: a small part of it, and little.
func MergeWindow(away time.Duration) time.Duration { return min(away/32, 2*time.Millisecond) }

// enoughRows: from here on rows are worth a frame of their own.
const enoughRows = 64

// NewMerger checks the configuration.
func NewMerger(cfg MergerConfig) (*Merger, error) {
	if cfg.Applier == nil || cfg.Window == nil {
		return nil, errors.New("gating: a merger needs an applier and a window")
	}
	if cfg.Rows <= 0 {
		cfg.Rows = enoughRows
	}
	if cfg.Join == nil {
		cfg.Join = func(steps ...context.Context) context.Context { return context.WithoutCancel(steps[0]) }
	}
	m := &Merger{cfg: cfg}
	m.mu.open = map[place]*gathering{}
	return m, nil
}

// Apply implements expert.Applier.
func (m *Merger) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	return m.apply(ctx, in, calls, m.cfg.Applier.Apply)
}

// ApplyIn implements expert.Reuser. Results of calls that were merged with others'
// lie in memory of their own.
func (m *Merger) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, room *expert.Room) []expert.Result {
	return m.apply(ctx, in, calls, func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
		return expert.ApplyIn(ctx, m.cfg.Applier, in, calls, room)
	})
}

// apply has calls applied with those of others, or alone.
func (m *Merger) apply(ctx context.Context, in expert.Batch, calls []expert.Call,
	alone func(context.Context, expert.Batch, []expert.Call) []expert.Result) []expert.Result {
	window := m.cfg.Window()
	// What is best effort may be left out, which is for one step to decide.
	if window <= 0 || len(calls) == 0 || notesOf(ctx).effort.lenient() || expert.CheckCalls(in, calls) != nil {
		return alone(ctx, in, calls)
	}
	at := place{calls[0].Expert.Model, int(calls[0].Expert.Layer), in.Dim}
	var results []expert.Result
	if p, g, first := m.meet(ctx, at, in, calls, window); g == nil {
		results = alone(ctx, in, calls)
	} else if first {
		results = m.lead(at, g, p, window)
	} else {
		results = p.follow()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.expireLocked(now, window)
	at.layer++
	m.mu.due = append(m.mu.due, setOut{at, now})
	return results
}

// meet puts a part to those that wait for others; nil when there is nobody to
// wait for. first tells whether the part is to lead the others.
func (m *Merger) meet(ctx context.Context, at place, in expert.Batch, calls []expert.Call, window time.Duration) (p *part, g *gathering, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked(time.Now(), window)
	toHere := func(s setOut) bool { return s.to == at }
	if own := slices.IndexFunc(m.mu.due, toHere); own >= 0 {
		m.mu.due = slices.Delete(m.mu.due, own, own+1) // this step itself
	}
	if len(m.mu.open) > 0 {
		g = m.mu.open[at]
	}
	alone := !slices.ContainsFunc(m.mu.due, toHere)
	if g == nil && (alone || in.Rows >= m.cfg.Rows) {
		return nil, nil, false
	}
	p = &part{ctx: ctx, in: in, calls: calls}
	if first = g == nil; first {
		g = &gathering{full: make(chan struct{})}
		m.mu.open[at] = g
	} else {
		p.copy()
	}
	g.parts = append(g.parts, p)
	if g.rows += p.in.Rows; alone || g.rows >= m.cfg.Rows {
		delete(m.mu.open, at)
		close(g.full)
	}
	return p, g, first
}

// expireLocked forgets the steps on their way that did not come within the window.
func (m *Merger) expireLocked(now time.Time, window time.Duration) {
	late := 0
	for late < len(m.mu.due) && now.Sub(m.mu.due[late].at) > window {
		late++
	}
	if late > 0 {
		m.mu.due = slices.Delete(m.mu.due, 0, late)
	}
}

// lead waits for others and sends all on their way.
func (m *Merger) lead(at place, g *gathering, p *part, window time.Duration) []expert.Result {
	late := time.NewTimer(window)
	defer late.Stop()
	select {
	case <-g.full:
	case <-late.C:
	case <-p.ctx.Done(): // those who joined are not to suffer for it
	}
	m.mu.Lock()
	if m.mu.open[at] == g {
		delete(m.mu.open, at)
	}
	parts := g.parts // complete: nobody finds the gathering any more
	m.mu.Unlock()
	if len(parts) == 1 {
		return m.cfg.Applier.Apply(p.ctx, p.in, p.calls)
	}
	return m.together(parts)
}

// copy makes the part independent of its caller's memory.
func (p *part) copy() {
	p.results = make(chan []expert.Result, 1)
	p.in.Data = slices.Clone(p.in.Data)
	p.calls = slices.Clone(p.calls)
	for i := range p.calls {
		p.calls[i].Rows, p.calls[i].Weights = slices.Clone(p.calls[i].Rows), slices.Clone(p.calls[i].Weights)
	}
}

// follow waits for the results of a gathering that another leads.
func (p *part) follow() []expert.Result {
	select {
	case r := <-p.results:
		return r
	case <-p.ctx.Done():
		return failed(len(p.calls), p.ctx.Err())
	}
}

func failed(n int, err error) []expert.Result {
	out := make([]expert.Result, n)
	for i := range out {
		out[i].Err = fmt.Errorf("merged calls: %w", err)
	}
	return out
}

// together applies the calls of several parts at once. It goes on until the
// last of them is not wanted any more. The first is the caller's.
func (m *Merger) together(parts []*part) []expert.Result {
	contexts := make([]context.Context, len(parts))
	for i, p := range parts {
		contexts[i] = p.ctx
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.cfg.Join(contexts...)))
	defer cancel()
	var (
		mu     sync.Mutex
		wanted = len(parts)
	)
	for _, c := range contexts {
		stop := context.AfterFunc(c, func() {
			mu.Lock()
			defer mu.Unlock()
			if wanted--; wanted == 0 {
				cancel()
			}
		})
		defer stop()
	}
	in, calls, shares := merge(parts)
	results := m.cfg.Applier.Apply(ctx, in, calls)
	for i, p := range parts[1:] {
		p.results <- split(results, shares[i+1], len(calls), in.Dim)
	}
	return split(results, shares[0], len(calls), in.Dim)
}

// portion is which rows of which merged call answer a call.
type portion struct{ call, first, rows int }

// merge makes one batch and one list of calls of several parts, calls for the
// same expert in one. shares says, for each part and call, where its rows are.
func merge(parts []*part) (in expert.Batch, calls []expert.Call, shares [][]portion) {
	in.Dim = parts[0].in.Dim
	for _, p := range parts {
		in.Rows += p.in.Rows
	}
	in.Data = make([]float32, 0, in.Rows*in.Dim)
	at := map[expert.ID]int{} // → index in calls
	offset := 0
	for _, p := range parts {
		in.Data = append(in.Data, p.in.Data...)
		share := make([]portion, len(p.calls))
		mine := map[int]bool{} // merged calls that this part is in
		for i, c := range p.calls {
			k, ok := at[c.Expert]
			if !ok || mine[k] { // a part that names an expert twice has two calls
				k = len(calls)
				at[c.Expert] = k
				calls = append(calls, expert.Call{Expert: c.Expert, Weights: []float32{}})
			}
			mine[k] = true
			into := &calls[k]
			share[i] = portion{k, len(into.Rows), len(c.Rows)}
			for _, r := range c.Rows {
				into.Rows = append(into.Rows, r+int32(offset))
			}
			if c.Weights == nil || into.Weights == nil {
				into.Weights = nil
			} else {
				into.Weights = append(into.Weights, c.Weights...)
			}
		}
		shares = append(shares, share)
		offset += p.in.Rows
	}
	return in, calls, shares
}

// split gives a part its share of the merged results.
func split(results []expert.Result, share []portion, calls, dim int) []expert.Result {
	out := make([]expert.Result, len(share))
	for i, s := range share {
		if len(results) != calls {
			out[i].Err = fmt.Errorf("%w: %d results for %d calls", expert.ErrBadResult, len(results), calls)
			continue
		}
		r := results[s.call]
		switch {
		case r.Err != nil:
			out[i].Err = r.Err
		case r.Out.Dim != dim || len(r.Out.Data) < (s.first+s.rows)*dim:
			out[i].Err = fmt.Errorf("%w: %d values for rows %d to %d of %d", expert.ErrBadResult, len(r.Out.Data), s.first, s.first+s.rows, dim)
		default:
			out[i].Out = expert.Batch{Rows: s.rows, Dim: dim, Data: r.Out.Data[s.first*dim : (s.first+s.rows)*dim]}
		}
	}
	return out
}

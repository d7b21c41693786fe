package expert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Set is the experts of one model that this node computes. It is an [Applier]
// and a [Summer]; its methods may be called by several goroutines at once, also
// while experts are taken in and given up.
type Set struct {
	from  *Model
	model ModelID
	dim   int
	pool  *ggml.Pool
	spare sync.Pool // *quantized, between two calls of Apply

	change sync.Mutex           // held while a new state is made
	state  atomic.Pointer[held] // now
	// busy is read-locked while weights are in use, so that Drop can wait
	// until nobody uses those given up.
	busy sync.RWMutex
}

// held is the experts of a set at one time. It is constant once it is stored.
type held struct {
	ffns  map[ID]network
	ids   []ID // ascending
	bytes int64
}

// network is an expert ready to compute, and the size of its weights.
type network struct {
	ggml.FFN
	bytes int64
	rows  *atomic.Int64 // applied to since the last GiveBack
}

// NewSet holds the given experts of m, whose weights it uses in place: m must
// stay open as long as the set is used. The pool may be shared with others.
func NewSet(m *Model, ids []ID, pool *ggml.Pool) (*Set, error) {
	s := &Set{from: m, model: m.ID(), dim: m.Dim(), pool: pool}
	s.spare.New = func() any { return newQuantized() }
	s.state.Store(newHeld(nil))
	if err := s.Hold(ids); err != nil {
		return nil, err
	}
	return s, nil
}

func newHeld(ffns map[ID]network) *held {
	h := &held{ffns: ffns, ids: slices.SortedFunc(maps.Keys(ffns), compareIDs)}
	for _, f := range ffns {
		h.bytes += f.bytes
	}
	return h
}

// compareIDs orders experts of one model by layer, then by index.
func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Index, b.Index))
}

// Hold takes experts in; those already held stay. The model must have their
// weights. On an error the set is as it was.
func (s *Set) Hold(ids []ID) error {
	s.change.Lock()
	defer s.change.Unlock()
	ffns := maps.Clone(s.state.Load().ffns)
	if ffns == nil {
		ffns = make(map[ID]network, len(ids))
	}
	for _, id := range ids {
		f, bytes, err := ffnOf(s.from, id)
		if err != nil {
			return err
		}
		ffns[id] = network{f, bytes, new(atomic.Int64)}
	}
	s.state.Store(newHeld(ffns))
	return nil
}

// Drop gives experts up and waits until no call uses them any more. Those not
// held are passed over.
func (s *Set) Drop(ids []ID) {
	s.change.Lock()
	ffns := maps.Clone(s.state.Load().ffns)
	for _, id := range ids {
		delete(ffns, id)
	}
	s.state.Store(newHeld(ffns))
	s.change.Unlock()
	s.busy.Lock() // whoever began before has ended, whoever begins now sees the new state
	defer s.busy.Unlock()
}

// ffnOf makes an expert ready to multiply with.
func ffnOf(m *Model, id ID) (f ggml.FFN, bytes int64, err error) {
	w, err := m.Weights(id)
	if err != nil {
		return f, 0, err
	}
	f.Act = m.shape.Activation()
	for _, p := range []struct {
		to   *ggml.Matrix
		from Tensor
	}{{&f.W1, w.W1}, {&f.W2, w.W2}, {&f.W3, w.W3}} {
		if *p.to, err = ggml.NewMatrix(p.from.Type, p.from.Shape[0], p.from.Shape[1], p.from.Data); err != nil {
			return f, 0, fmt.Errorf("%v: %w", id, err)
		}
	}
	if w.biased() {
		f.B1, f.B2, f.B3 = w.B1.Floats(), w.B2.Floats(), w.B3.Floats()
	}
	if _, same := f.Activations(); !same {
		return f, 0, fmt.Errorf("%w: %v: W1 is %v and W3 is %v, which take different activations", ErrUnsupported, id, w.W1.Type, w.W3.Type)
	}
	return f, w.Bytes(), nil
}

// IDs lists the experts held, by layer and index. The slice is shared: read only.
func (s *Set) IDs() []ID { return s.state.Load().ids }

// Holds reports whether the set can apply this expert.
func (s *Set) Holds(id ID) bool { _, ok := s.state.Load().ffns[id]; return ok }

// Bytes is the size of the weights held.
func (s *Set) Bytes() int64 { return s.state.Load().bytes }

// quantized is a layer's token batch in the formats its experts take, nearly
// always one format, and what else one call of Apply works with. It is reused,
// so that Apply allocates its answer alone.
type quantized struct {
	kinds  []gguf.Type
	rows   []ggml.Rows
	ffns   []ggml.FFN    // of the calls whose experts are held
	held   []int         // which calls those are
	splits []*ggml.Split // see applySplit

	// The call of Apply at hand, for the closures below.
	ctx     context.Context
	calls   []Call
	results []Result
	total   int // rows of all calls

	whole func(*ggml.Scratch, int)
}

func newQuantized() *quantized {
	q := new(quantized)
	q.whole = func(scratch *ggml.Scratch, k int) {
		i := q.held[k]
		if err := q.ctx.Err(); err != nil {
			q.results[i] = Result{Err: err}
			return
		}
		t, _ := q.ffns[k].Activations()
		q.ffns[k].Apply(scratch, q.in(t), q.calls[i].Rows, q.results[i].Out.Data)
	}
	return q
}

// begin finds the experts of the calls and makes room for their answers.
func (q *quantized) begin(ctx context.Context, ffns map[ID]network, dim int, calls []Call, room *Room) []Result {
	results := room.For(len(calls))
	q.ctx, q.calls, q.results = ctx, calls, results
	q.ffns, q.held = q.ffns[:0], q.held[:0]
	rows := 0
	for i, c := range calls {
		f, ok := ffns[c.Expert]
		if !ok {
			results[i].Err = fmt.Errorf("%w: %v", ErrUnknownExpert, c.Expert)
			continue
		}
		f.rows.Add(int64(len(c.Rows)))
		q.ffns, q.held = append(q.ffns, f.FFN), append(q.held, i)
		rows += len(c.Rows)
	}
	q.total = rows
	all := room.values(rows * dim)
	for _, i := range q.held {
		n := len(calls[i].Rows) * dim
		results[i].Out = Batch{Rows: len(calls[i].Rows), Dim: dim, Data: all[:n:n]}
		all = all[n:]
	}
	return results
}

// end lets go of what belongs to the caller.
func (q *quantized) end() { q.ctx, q.calls, q.results = nil, nil, nil }

// in returns the batch in one format, quantising it on first use.
func (q *quantized) in(t gguf.Type) *ggml.Rows { return &q.rows[slices.Index(q.kinds, t)] }

// fill quantises in for every expert of the calls, leaving out nothing: a row
// that no call names costs less than finding that out.
func (q *quantized) fill(in Batch) {
	q.kinds = q.kinds[:0]
	for _, f := range q.ffns {
		t, _ := f.Activations()
		if slices.Contains(q.kinds, t) {
			continue
		}
		q.kinds = append(q.kinds, t)
		if len(q.rows) < len(q.kinds) {
			q.rows = append(q.rows, ggml.Rows{})
		}
		q.rows[len(q.kinds)-1].Quantize(t, in.Data, in.Rows, in.Dim)
	}
}

// Apply computes all calls, each on one worker of the pool. Calls for experts
// that are not in the set fail with [ErrUnknownExpert], without harm to the
// others. When ctx ends, calls not yet begun fail with its error.
func (s *Set) Apply(ctx context.Context, in Batch, calls []Call) []Result {
	return s.ApplyIn(ctx, in, calls, new(Room))
}

// ApplyIn implements [Reuser]. Decoding, it allocates nothing.
func (s *Set) ApplyIn(ctx context.Context, in Batch, calls []Call, room *Room) []Result {
	if len(calls) == 0 {
		return room.For(0)
	}
	if err := s.check(in, calls); err != nil {
		results := room.For(len(calls))
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	s.busy.RLock()
	defer s.busy.RUnlock()
	q := s.spare.Get().(*quantized)
	defer s.spare.Put(q)
	defer q.end()
	results := q.begin(ctx, s.state.Load().ffns, s.dim, calls, room)
	q.fill(in)
	if len(q.held) < wholeCalls*s.pool.Workers() || q.total <= splitRows {
		s.applySplit(q)
	} else {
		s.pool.Do(len(q.held), q.whole)
	}
	return results
}

func (s *Set) check(in Batch, calls []Call) error {
	if err := CheckCalls(in, calls); err != nil {
		return err
	}
	if in.Dim != s.dim {
		return fmt.Errorf("%w: rows of %d values for a model of %d", ErrBadCall, in.Dim, s.dim)
	}
	return nil
}

// Sum adds up weight × output in the order of the calls.
func (s *Set) Sum(ctx context.Context, in Batch, calls []Call) (Batch, error) {
	return SumResults(in, calls, s.Apply(ctx, in, calls))
}

// SumResults adds up weight × output over the calls, in their order, into a
// batch of in's shape. The first failed call fails the sum.
func SumResults(in Batch, calls []Call, results []Result) (Batch, error) {
	out := NewBatch(in.Rows, in.Dim)
	if err := SumInto(out, calls, results); err != nil {
		return Batch{}, err
	}
	return out, nil
}

// SumInto is [SumResults] into a batch of the caller's, whatever is in it. After
// an error it holds nothing of use.
func SumInto(out Batch, calls []Call, results []Result) error {
	clear(out.Data)
	for i, c := range calls {
		if results[i].Err != nil {
			return results[i].Err
		}
		if len(c.Weights) != len(c.Rows) {
			return fmt.Errorf("%w: call %d has %d weights for %d rows", ErrBadCall, i, len(c.Weights), len(c.Rows))
		}
		for j, r := range c.Rows {
			AddScaled(c.Weights[j], results[i].Out.Row(j), out.Row(int(r)))
		}
	}
	return nil
}

// AddScaled sets y += a·x, value by value. Every sum over experts in this
// project goes through here, so that they all round alike.
func AddScaled(a float32, x, y []float32) { ggml.AddScaled(a, x, y) }

// Dots multiplies the rows of a matrix with a vector, by the kernels: out[i] is
// the product of row i of m, whose rows are as long as x, and x. For those who
// check results.
func Dots(m Batch, x, out []float32) { ggml.Dots(m.Data, x[:m.Dim], out[:m.Rows]) }

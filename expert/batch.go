package expert

import (
	"context"
	"errors"
	"fmt"
)

// ID names one expert.
type ID struct {
	Model ModelID
	Layer uint16 // layer of the model, counted from 0 over all its layers
	Index uint16 // index among the experts of that layer
}

// String gives the short human form, such as "layer 3 expert 12".
func (id ID) String() string { return fmt.Sprintf("layer %d expert %d", id.Layer, id.Index) }

// Batch is a token batch: rows of activations, row-major (Rows, Dim).
type Batch struct {
	Rows, Dim int
	Data      []float32 // len == Rows*Dim
}

// NewBatch returns a batch of zeros.
func NewBatch(rows, dim int) Batch {
	return Batch{Rows: rows, Dim: dim, Data: make([]float32, rows*dim)}
}

// Row returns row i, sharing memory with b.
func (b Batch) Row(i int) []float32 { return b.Data[i*b.Dim : (i+1)*b.Dim : (i+1)*b.Dim] }

// Call asks for one expert to be applied to some rows of a token batch.
type Call struct {
	Expert ID
	Rows   []int32 // indices into the batch, at least one, none twice
	// Weights holds one gate weight per row. Only a [Summer] reads it.
	Weights []float32
	// Optional allows an Applier to give the call up, with [ErrStraggler] or
	// [ErrNoHolder], rather than hold up the others for it. A Summer ignores
	// it, and it does not travel.
	Optional bool
}

// Result answers one [Call].
type Result struct {
	Out Batch // (len(Call.Rows), Dim); row i answers Call.Rows[i]
	Err error // wraps one of the errors of this package that say whom to blame
}

// Applier applies experts to rows of a token batch. All calls name the same
// model and layer. It returns one result per call, in the order of the calls,
// and keeps no reference to in or calls once it has returned. Each output row
// depends on its input row and its expert alone, never on what else was in the
// batch. An Applier may be used by several goroutines at once.
type Applier interface {
	Apply(ctx context.Context, in Batch, calls []Call) []Result
}

// Summer is an Applier's optional second power: it answers with one batch of
// the shape of in whose row r is the sum, over the calls that name r, of
// weight × output. It saves bandwidth when one peer holds several of a row's
// experts, but the order of the floating-point additions then depends on who
// holds what, so the last bits may differ from a local run.
type Summer interface {
	Sum(ctx context.Context, in Batch, calls []Call) (Batch, error)
}

// CheckCalls reports the first call that does not fit in: a row out of range
// or named twice, weights of the wrong length, another model or layer than
// the first call, or a batch whose data does not fill its shape. The error
// wraps [ErrBadCall].
func CheckCalls(in Batch, calls []Call) error {
	if in.Rows < 0 || in.Dim <= 0 || len(in.Data) != in.Rows*in.Dim {
		return fmt.Errorf("%w: batch (%d, %d) with %d values", ErrBadCall, in.Rows, in.Dim, len(in.Data))
	}
	var few [64]int // decoding: no allocation
	seen := few[:min(in.Rows, len(few))]
	if in.Rows > len(few) {
		seen = make([]int, in.Rows) // call number + 1 that last named the row
	}
	for i, c := range calls {
		switch {
		case c.Expert.Model != calls[0].Expert.Model || c.Expert.Layer != calls[0].Expert.Layer:
			return fmt.Errorf("%w: call %d is for another layer than call 0", ErrBadCall, i)
		case len(c.Rows) == 0:
			return fmt.Errorf("%w: call %d (%v) names no row", ErrBadCall, i, c.Expert)
		case c.Weights != nil && len(c.Weights) != len(c.Rows):
			return fmt.Errorf("%w: call %d has %d weights for %d rows", ErrBadCall, i, len(c.Weights), len(c.Rows))
		}
		for _, r := range c.Rows {
			if r < 0 || int(r) >= in.Rows {
				return fmt.Errorf("%w: call %d names row %d of %d", ErrBadCall, i, r, in.Rows)
			}
			if seen[r] == i+1 {
				return fmt.Errorf("%w: call %d names row %d twice", ErrBadCall, i, r)
			}
			seen[r] = i + 1
		}
	}
	return nil
}

// Errors that say whom a failed call is to be blamed on. Package swarm/wire
// carries them over the network by code.
var (
	// ErrBadCall: the caller's shapes or names are wrong; asking another
	// peer the same thing cannot help.
	ErrBadCall = errors.New("bad call")
	// ErrUnknownExpert: the peer asked does not hold that expert (any more).
	// Ask another; the holdings we had of it are stale.
	ErrUnknownExpert = errors.New("expert not held here")
	// ErrOverloaded: the peer refuses at once because its queue is full.
	// Ask another; no blame.
	ErrOverloaded = errors.New("peer is overloaded")
	// ErrUnreachable: no connection, or it was lost before the answer came.
	ErrUnreachable = errors.New("peer is unreachable")
	// ErrBadResult: the peer answered with something no honest peer sends:
	// NaN, Inf, a wrong shape, an unparsable frame. Blame.
	ErrBadResult = errors.New("bad result")
	// ErrStraggler: no answer within the time this peer usually needs.
	ErrStraggler = errors.New("no answer in time")
	// ErrNoHolder: nobody known holds the expert; it is missing from the swarm.
	ErrNoHolder = errors.New("no peer holds this expert")
)

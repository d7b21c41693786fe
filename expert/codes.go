package expert

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// Codes are rows of activations as the products of an expert take them in: 8
// bits a value, and for each block of values the one of largest magnitude,
// exactly. They are a quarter of the rows' floats and stand for the same
// result: whoever quantises [Codes.Floats] gets, bit for bit, what quantising
// the original rows gave.
type Codes struct {
	Rows, Dim int
	Block     int       // values that share an extreme: 32 or 256
	Extremes  []float32 // (Rows, Dim/Block)
	Values    []int8    // (Rows, Dim)
}

// Extremes between which a quantiser's arithmetic neither overflows nor loses
// bits to small numbers. Activations are far from both; rows past them travel
// as floats.
const (
	leastExtreme = 0x1p-100
	mostExtreme  = 0x1p+100
)

// Check reports what no quantiser gives. The error wraps [ErrBadCall].
func (c Codes) Check() error {
	if (c.Block != 32 && c.Block != 256) || c.Rows < 0 || c.Dim <= 0 || c.Dim%c.Block != 0 ||
		len(c.Values) != c.Rows*c.Dim || len(c.Extremes) != len(c.Values)/c.Block {
		return fmt.Errorf("%w: codes of (%d, %d) in blocks of %d", ErrBadCall, c.Rows, c.Dim, c.Block)
	}
	b := ggml.BadCodes(c.Values, c.Extremes, c.Block, leastExtreme, mostExtreme)
	switch {
	case b < 0:
		return nil
	case c.Extremes[b] == 0:
		return fmt.Errorf("%w: a code in a block of zeros", ErrBadCall)
	}
	return fmt.Errorf("%w: a block of codes without its extreme, %g", ErrBadCall, c.Extremes[b])
}

// Floats writes rows, (Rows, Dim), that a quantiser takes back to these codes
// and the original scales: each code times the scale, the extreme as it was,
// and every other value kept just below it. The codes must pass Check.
func (c Codes) Floats(dst []float32) { ggml.WidenCodes(c.Values, c.Extremes, c.Block, dst) }

// Coder makes the codes of calls' rows. It knows the models whose experts it
// is asked for; it may be used by several goroutines at once.
type Coder struct {
	models map[ModelID]*coded
	spare  sync.Pool // *ggml.Rows
}

// coded is a model and what its layers take in.
type coded struct {
	model  *Model
	layers []atomic.Int32 // 1 + the activation type; 0: not known yet
}

// NewCoder returns a coder for these models, which must stay open.
func NewCoder(models ...*Model) *Coder {
	c := &Coder{models: make(map[ModelID]*coded, len(models))}
	c.spare.New = func() any { return new(ggml.Rows) }
	for _, m := range models {
		c.models[m.ID()] = &coded{m, make([]atomic.Int32, m.Layers())}
	}
	return c
}

// Encode fills to with the rows of in as the experts of the calls take them
// in, reusing its memory. It reports false where rows have to travel as
// floats: the expert takes floats, the model is not known, or the numbers are
// past what codes stand for.
func (c *Coder) Encode(in Batch, calls []Call, to *Codes) bool {
	if len(calls) == 0 || in.Rows == 0 {
		return false
	}
	t, ok := c.activations(calls[0].Expert)
	block := ggml.CodeBlock(t)
	if !ok || block == 0 || in.Dim%block != 0 {
		return false
	}
	*to = Codes{Rows: in.Rows, Dim: in.Dim, Block: block,
		Extremes: sized(to.Extremes, len(in.Data)/block), Values: sized(to.Values, len(in.Data))}
	for b := range to.Extremes {
		var e, a float32
		for _, x := range in.Data[b*block : (b+1)*block] {
			if m := math.Float32frombits(math.Float32bits(x) &^ (1 << 31)); m > a {
				e, a = x, m
			}
		}
		if a != 0 && !(a >= leastExtreme && a <= mostExtreme) {
			return false
		}
		to.Extremes[b] = e
	}
	rows := c.spare.Get().(*ggml.Rows)
	defer c.spare.Put(rows)
	rows.Quantize(t, in.Data, in.Rows, in.Dim)
	rows.Codes(to.Values)
	return true
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// activations is the format that the experts of a layer take rows in. They
// are cut from one tensor, so one of them tells for all.
func (c *Coder) activations(id ID) (gguf.Type, bool) {
	m := c.models[id.Model]
	if m == nil || int(id.Layer) >= len(m.layers) {
		return 0, false
	}
	known := &m.layers[id.Layer]
	if t := known.Load(); t != 0 {
		return gguf.Type(t - 1), true
	}
	f, _, err := ffnOf(m.model, id)
	if err != nil { // its weights are not here
		return 0, false
	}
	t, same := f.Activations()
	if !same {
		return 0, false
	}
	known.Store(int32(t) + 1)
	return t, true
}

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

// A quantiser gives the extreme of a block the code of largest magnitude: -127
// in blocks of 256, where the scale has a sign; in blocks of 32 it has none,
// so that the code has the extreme's.
func codeOfExtreme(block int, extreme float32) int8 {
	if block == 256 || extreme < 0 {
		return -127
	}
	return 127
}

// Check reports what no quantiser gives. The error wraps [ErrBadCall].
func (c Codes) Check() error {
	if (c.Block != 32 && c.Block != 256) || c.Rows < 0 || c.Dim <= 0 || c.Dim%c.Block != 0 ||
		len(c.Values) != c.Rows*c.Dim || len(c.Extremes) != len(c.Values)/c.Block {
		return fmt.Errorf("%w: codes of (%d, %d) in blocks of %d", ErrBadCall, c.Rows, c.Dim, c.Block)
	}
	for b, e := range c.Extremes {
		any, extreme, low := look(c.Values[b*c.Block:(b+1)*c.Block], codeOfExtreme(c.Block, e))
		a := float32(math.Abs(float64(e)))
		switch {
		case e == 0 && any:
			return fmt.Errorf("%w: a code in a block of zeros", ErrBadCall)
		case e != 0 && (!extreme || low || !(a >= leastExtreme && a <= mostExtreme)):
			return fmt.Errorf("%w: a block of codes without its extreme, %g", ErrBadCall, e)
		}
	}
	return nil
}

// look reports what is among the codes of a block, eight at a time, since every row
// on its way is looked at twice: any but 0, the code most, and -128, which no
// quantiser gives.
func look(block []int8, most int8) (any, extreme, low bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var seen, mosts, lows uint64
	for ; len(block) >= 8; block = block[8:] {
		_ = block[7]
		x := uint64(uint8(block[0])) | uint64(uint8(block[1]))<<8 | uint64(uint8(block[2]))<<16 | uint64(uint8(block[3]))<<24 |
			uint64(uint8(block[4]))<<32 | uint64(uint8(block[5]))<<40 | uint64(uint8(block[6]))<<48 | uint64(uint8(block[7]))<<56
		seen |= x
		m, l := x^ones*uint64(uint8(most)), x^tops
		mosts |= (m - ones) &^ m & tops // not 0: a byte of m is
		lows |= (l - ones) &^ l & tops
	}
	return seen != 0, mosts != 0, lows != 0
}

// Floats writes rows, (Rows, Dim), that a quantiser takes back to these codes
// and the original scales: each code times the scale, the extreme as it was,
// and every other value kept just below it. The codes must pass Check.
func (c Codes) Floats(dst []float32) {
	for b, e := range c.Extremes {
		from, to := c.Values[b*c.Block:(b+1)*c.Block], dst[b*c.Block:(b+1)*c.Block]
		most := codeOfExtreme(c.Block, e)
		unit := e / float32(most)
		a := float32(math.Abs(float64(e)))
		below := math.Nextafter32(a, 0)
		placed := false
		for i, v := range from {
			x := float32(v) * unit
			if v == 127 || v == -127 { // no other comes near the extreme
				switch {
				case v == most && !placed:
					x, placed = e, true
				case x >= a:
					x = below
				case x <= -a:
					x = -below
				}
			}
			to[i] = x
		}
	}
}

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

package expert

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

// codesOf does what Encode does, for a format instead of an expert.
func codesOf(x []float32, rows, dim int, t gguf.Type) (Codes, *ggml.Rows) {
	c := NewCoder()
	id := ID{}
	m := &coded{layers: make([]atomic.Int32, 1)}
	m.layers[0].Store(int32(t) + 1)
	c.models[id.Model] = m
	var codes Codes
	if !c.Encode(Batch{Rows: rows, Dim: dim, Data: x}, []Call{{Expert: id, Rows: []int32{0}}}, &codes) {
		return Codes{}, nil
	}
	q := new(ggml.Rows)
	q.Quantize(t, x, rows, dim)
	return codes, q
}

// draw makes rows as hostile to a quantiser as rows may be: of all sizes, with
// repeated extremes of both signs, values next to them, blocks of zeros.
func draw(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for b := 0; b < n; b += 32 {
		size := math.Exp2(float64(r.IntN(160) - 80))
		if b%256 != 0 && r.IntN(2) == 0 {
			size = float64(x[b-1]) // like its neighbour, so that blocks of 256 are mixed
		}
		kind := r.IntN(6)
		for i := b; i < b+32; i++ {
			v := r.NormFloat64() * size
			switch kind {
			case 0:
				v = 0
			case 1: // few different magnitudes
				v = size * float64(r.IntN(5)-2)
			case 2: // near the extreme
				v = size * (1 - r.Float64()/200) * float64(r.IntN(2)*2-1)
			case 3: // half way between codes
				v = size * (float64(r.IntN(255)-127) + 0.5) / 127
			}
			x[i] = float32(v)
		}
	}
	return x
}

// TestCodesAreExact: quantising what codes give back is quantising the
// original, bit for bit, with ggml's own quantisers.
func TestCodesAreExact(t *testing.T) {
	const rows, dim = 4, 768
	for _, kind := range []gguf.Type{gguf.Q8_0, gguf.Q8_1, gguf.Q8_K} {
		t.Run(kind.String(), func(t *testing.T) {
			blocks := 0
			for seed := range uint64(1000) {
				x := draw(rand.New(rand.NewPCG(seed, 21)), rows*dim)
				codes, want := codesOf(x, rows, dim, kind)
				if want == nil {
					continue // past the limits: it travels as floats
				}
				if err := codes.Check(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				back := make([]float32, rows*dim)
				codes.Floats(back)
				var got ggml.Rows
				got.Quantize(kind, back, rows, dim)
				if !got.Same(want) {
					t.Fatalf("seed %d: other bits", seed)
				}
				blocks += len(codes.Extremes)
			}
			if t.Logf("%d blocks", blocks); blocks < 10000 {
				t.Errorf("only %d blocks were compared", blocks)
			}
		})
	}
}

func TestCodesKeepToLimits(t *testing.T) {
	for _, e := range []float32{1e-38, 1e-42, 1e38} {
		x := make([]float32, 256)
		x[7] = e
		if _, q := codesOf(x, 1, 256, gguf.Q8_0); q != nil {
			t.Errorf("codes for an extreme of %g", e)
		}
	}
}

func TestCodesCheckRefuses(t *testing.T) {
	good := func() Codes {
		c := Codes{Rows: 1, Dim: 256, Block: 32, Extremes: make([]float32, 8), Values: make([]int8, 256)}
		c.Extremes[0], c.Values[3] = -2, -127
		return c
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Codes){
		"-128":                 func(c *Codes) { c.Values[4] = -128 },
		"no extreme":           func(c *Codes) { c.Values[3] = -126 },
		"wrong sign":           func(c *Codes) { c.Values[3] = 127 },
		"codes among zeros":    func(c *Codes) { c.Values[40] = 1 },
		"NaN":                  func(c *Codes) { c.Extremes[0] = float32(math.NaN()) },
		"infinity":             func(c *Codes) { c.Extremes[0] = float32(math.Inf(-1)) },
		"too small an extreme": func(c *Codes) { c.Extremes[0] = -1e-40 },
		"blocks of 64":         func(c *Codes) { c.Block = 64 },
		"broken block":         func(c *Codes) { c.Dim = 255 },
		"too few extremes":     func(c *Codes) { c.Extremes = c.Extremes[1:] },
	} {
		c := good()
		change(&c)
		if err := c.Check(); !errors.Is(err, ErrBadCall) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCodesPlainly: what C does with blocks is what is said about one value at a
// time, of any blocks.
func TestCodesPlainly(t *testing.T) {
	refused := 0
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 8))
		block := []int{32, 256}[r.IntN(2)]
		c := Codes{Rows: 1, Dim: block, Block: block, Extremes: []float32{[]float32{0, 1, -1, 1e-31, 3e38, r.Float32() - 0.5}[r.IntN(6)]}, Values: make([]int8, block)}
		spread := []int{1, 2, 3, 256}[r.IntN(4)]
		for i := range c.Values {
			c.Values[i] = int8(r.IntN(spread))
		}
		for range 2 {
			c.Values[r.IntN(block)] = []int8{0, 127, -127, -128, 126, 1, -1}[r.IntN(7)]
		}
		e, most := c.Extremes[0], int8(127)
		if block == 256 || e < 0 {
			most = -127
		}
		a := float32(math.Abs(float64(e)))
		good := e == 0 && slices.Max(c.Values) == 0 && slices.Min(c.Values) == 0 ||
			e != 0 && slices.Contains(c.Values, most) && !slices.Contains(c.Values, -128) && a >= leastExtreme && a <= mostExtreme
		if err := c.Check(); (err == nil) != good {
			t.Fatalf("seed %d: %v, extreme %g: %v", seed, c.Values, e, err)
		}
		if !good {
			refused++
			continue
		}
		got := make([]float32, block)
		c.Floats(got)
		placed := false
		for i, v := range c.Values {
			x := float32(v) * (e / float32(most))
			switch below := math.Nextafter32(a, 0); {
			case e != 0 && v == most && !placed:
				x, placed = e, true
			case e != 0 && x >= a:
				x = below
			case e != 0 && x <= -a:
				x = -below
			}
			if math.Float32bits(got[i]) != math.Float32bits(x) {
				t.Fatalf("seed %d: code %d with extreme %g gives %g, want %g", seed, v, e, got[i], x)
			}
		}
	}
	if refused < 500 || refused > 4500 {
		t.Errorf("%d of 5000 were refused: the others were not looked at", refused)
	}
}

func BenchmarkCodes(b *testing.B) {
	codes, _ := codesOf(draw(rand.New(rand.NewPCG(1, 21)), 2048), 1, 2048, gguf.Q8_0)
	to := make([]float32, 2048)
	b.Run("Check", func(b *testing.B) {
		for b.Loop() {
			_ = codes.Check()
		}
	})
	b.Run("Floats", func(b *testing.B) {
		for b.Loop() {
			codes.Floats(to)
		}
	})
}

package wire

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
)

// randomCall draws a call in order: every shape that AppendCall accepts.
func randomCall(r *rand.Rand) Call {
	c := Call{Sum: r.IntN(2) == 0, In: expert.NewBatch(1+r.IntN(300), 1+r.IntN(9))}
	for i := range c.In.Data {
		c.In.Data[i] = r.Float32() - 0.5
	}
	layer := uint16(r.Uint32())
	for range 1 + r.IntN(5) {
		call := expert.Call{Expert: expert.ID{Model: model(), Layer: layer, Index: uint16(r.Uint32())}}
		for _, row := range r.Perm(c.In.Rows)[:1+r.IntN(c.In.Rows)] {
			call.Rows = append(call.Rows, int32(row))
			if c.Sum {
				call.Weights = append(call.Weights, r.Float32())
			}
		}
		c.Calls = append(c.Calls, call)
	}
	return c
}

// TestCallMeansTheSame: after the way over the wire, each row of each call is
// the row that the asker meant, although the rows were compacted, and only
// named rows travelled.
func TestCallMeansTheSame(t *testing.T) {
	var got Call // reused, as a server does
	for seed := range uint64(200) {
		c := randomCall(rand.New(rand.NewPCG(seed, 1)))
		_, body, err := ParseFrame(must(t)(AppendCall([]byte("before"), 7, c))[len("before"):])
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := ParseCall(body, &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		wantRows := c.In.Rows
		if used := UsedRows(c.In.Rows, c.Calls); used != nil {
			wantRows = len(used)
		}
		if got.Sum != c.Sum || len(got.Calls) != len(c.Calls) || got.In.Rows != wantRows || got.In.Dim != c.In.Dim {
			t.Fatalf("seed %d: another shape came out: %v", seed, got)
		}
		for i, call := range c.Calls {
			if got.Calls[i].Expert != call.Expert || !slices.Equal(got.Calls[i].Weights, call.Weights) {
				t.Fatalf("seed %d: call %d is %v, want %v", seed, i, got.Calls[i], call)
			}
			for j, r := range call.Rows {
				if !slices.Equal(got.In.Row(int(got.Calls[i].Rows[j])), c.In.Row(int(r))) {
					t.Fatalf("seed %d: call %d row %d holds other numbers", seed, i, j)
				}
			}
		}
	}
}

// TestCallSecondRound: parse(append(x)) == x once the rows are compact.
func TestCallSecondRound(t *testing.T) {
	for seed := range uint64(100) {
		var x, y Call
		frame := must(t)(AppendCall(nil, 7, randomCall(rand.New(rand.NewPCG(seed, 2)))))
		if err := ParseCall(frame[HeaderLen:], &x); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		again := must(t)(AppendCall(nil, 7, x))
		if !slices.Equal(frame, again) {
			t.Fatalf("seed %d: other bytes the second time", seed)
		}
		if err := ParseCall(again[HeaderLen:], &y); err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("seed %d: %v, %v, want %v", seed, err, y, x)
		}
	}
}

func TestAppendCallRefuses(t *testing.T) {
	big := func(rows, dim, calls int) Call {
		c := Call{In: expert.NewBatch(rows, dim)}
		for i := range calls {
			call := expert.Call{Expert: expert.ID{Index: uint16(i)}}
			for r := range rows {
				call.Rows = append(call.Rows, int32(r))
			}
			c.Calls = append(c.Calls, call)
		}
		return c
	}
	change := func(f func(c *Call)) Call {
		c := sampleCall(true)
		f(&c)
		return c
	}
	for name, c := range map[string]Call{
		"no calls":         change(func(c *Call) { c.Calls = nil }),
		"row out of range": change(func(c *Call) { c.Calls[0].Rows[0] = 3 }),
		"row twice":        change(func(c *Call) { c.Calls[0].Rows[0] = 0 }),
		"NaN in a row":     change(func(c *Call) { c.In.Data[4] = float32(math.NaN()) }),
		"Inf in a weight":  change(func(c *Call) { c.Calls[1].Weights[0] = float32(math.Inf(1)) }),
		"no weights":       change(func(c *Call) { c.Calls[1].Weights = nil }),
		"two layers":       change(func(c *Call) { c.Calls[1].Expert.Layer++ }),
		"too many calls":   big(1, 1, MaxCalls+1),
		"too many rows":    big(MaxRows+1, 1, 1),
		"too wide":         big(1, MaxDim+1, 1),
		"too much work":    big(512, 1024, 9),
	} {
		b, err := AppendCall([]byte("before"), 1, c)
		if !errors.Is(err, expert.ErrBadCall) || string(b) != "before" {
			t.Errorf("%s: %v, and %d bytes appended", name, err, len(b)-len("before"))
		}
	}
	if _, err := AppendCall(nil, 1, change(func(c *Call) { c.In.Data[2] = float32(math.NaN()) })); err != nil {
		t.Errorf("NaN in a row that stays at home: %v", err)
	}
}

func TestParseCallRefuses(t *testing.T) {
	good := must(t)(AppendCall(nil, 1, sampleCall(false)))[HeaderLen:]
	for name, change := range map[string]func(b []byte) []byte{
		"mode":             func(b []byte) []byte { b[34] = 2; return b },
		"format":           func(b []byte) []byte { b[35] = 3; return b },
		"no codes":         func(b []byte) []byte { b[35] = 1; return b },
		"answers":          func(b []byte) []byte { b[46] = 2; return b },
		"reserved":         func(b []byte) []byte { b[47] = 1; return b },
		"no rows":          func(b []byte) []byte { b[36] = 0; return b },
		"huge rows":        func(b []byte) []byte { b[39] = 0xff; return b },
		"huge dim":         func(b []byte) []byte { b[43] = 0xff; return b },
		"no calls":         func(b []byte) []byte { b[44] = 0; return b },
		"more calls":       func(b []byte) []byte { b[44] = 3; return b },
		"huge row count":   func(b []byte) []byte { b[55] = 0xff; return b },
		"row out of range": func(b []byte) []byte { b[56] = 2; return b },
		"negative row":     func(b []byte) []byte { b[59] = 0x80; return b },
		"row twice":        func(b []byte) []byte { b[56] = 0; return b },
		"NaN":              func(b []byte) []byte { b[len(b)-1], b[len(b)-2] = 0x7f, 0xff; return b },
		"Inf":              func(b []byte) []byte { b[len(b)-1], b[len(b)-2] = 0x7f, 0x80; return b },
		"cut off":          func(b []byte) []byte { return b[:len(b)-1] },
		"more bytes":       func(b []byte) []byte { return append(b, 0) },
		"empty":            func(b []byte) []byte { return nil },
	} {
		var c Call
		if err := ParseCall(change(slices.Clone(good)), &c); !errors.Is(err, expert.ErrBadCall) {
			t.Errorf("%s: %v, want ErrBadCall", name, err)
		}
	}
}

// coded draws rows of codes, and the floats that they stand for.
func coded(r *rand.Rand, rows, dim, block int) Call {
	c := Call{In: expert.NewBatch(rows, dim),
		Codes: expert.Codes{Rows: rows, Dim: dim, Block: block, Extremes: make([]float32, rows*dim/block), Values: make([]int8, rows*dim)}}
	for i := range c.Codes.Values {
		c.Codes.Values[i] = int8(r.IntN(255) - 127)
	}
	for b := range c.Codes.Extremes {
		c.Codes.Extremes[b] = -1 - r.Float32()
		c.Codes.Values[b*block+r.IntN(block)] = -127
	}
	c.Codes.Floats(c.In.Data)
	return c
}

// naming is c with a call on its first rows.
func (c Call) naming(rows int) Call {
	call := expert.Call{Expert: expert.ID{Model: model()}}
	for row := range int32(rows) {
		call.Rows = append(call.Rows, row)
	}
	c.Calls = append(c.Calls, call)
	return c
}

// TestParseCallAgain: a Call that serves for one frame after another holds what the
// last one says, whatever was before and whatever becomes of earlier frames.
func TestParseCallAgain(t *testing.T) {
	var got Call
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		block := []int{32, 256}[r.IntN(2)]
		rows, dim := 1+r.IntN(5), block*(1+r.IntN(3))
		c := coded(r, rows, dim, block)
		if r.IntN(3) == 0 {
			c.Codes = expert.Codes{} // rows as floats
		}
		for range 1 + r.IntN(3) {
			c = c.naming(rows)
		}
		frame := must(t)(AppendCall(nil, 7, c))
		if err := ParseCall(frame[HeaderLen:], &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !slices.Equal(got.In.Data, c.In.Data) || !slices.Equal(got.Codes.Values, c.Codes.Values) {
			t.Fatalf("seed %d: other rows", seed)
		}
		if again := must(t)(AppendCall(nil, 7, got)); !slices.Equal(again, frame) {
			t.Fatalf("seed %d: other bytes the second time", seed)
		}
		keep := []int{0, 1 << 20}[r.IntN(2)]
		if got.Forget(keep); len(got.Calls) > 0 || got.In.Data != nil || got.Codes.Rows > 0 || 4*cap(got.made.rows) > keep {
			t.Fatalf("seed %d: %+v is not forgotten", seed, got)
		}
		for i := range frame {
			frame[i] = 0xff // another has its memory
		}
	}
}

// TestCallWithCodes: codes travel as they are, those of the named rows alone,
// and what comes out quantises to them.
func TestCallWithCodes(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		block := []int{32, 256}[r.IntN(2)]
		rows, dim := 1+r.IntN(9), block*(1+r.IntN(3))
		c := coded(r, rows, dim, block)
		c.Calls = []expert.Call{{Expert: expert.ID{Model: model()}, Rows: []int32{int32(r.IntN(rows))}}}
		frame := must(t)(AppendCall(nil, 7, c))
		var got Call
		if err := ParseCall(frame[HeaderLen:], &got); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		named := int(c.Calls[0].Rows[0])
		if got.In.Rows != 1 || !slices.Equal(got.In.Data, c.In.Row(named)) ||
			!slices.Equal(got.Codes.Values, c.Codes.Values[named*dim:(named+1)*dim]) {
			t.Fatalf("seed %d: row %d came out as another", seed, named)
		}
		if again := must(t)(AppendCall(nil, 7, got)); !slices.Equal(again, frame) {
			t.Fatalf("seed %d: other bytes the second time", seed)
		}
		frame[len(frame)-1] = 0x80 // a code of -128
		if err := ParseCall(frame[HeaderLen:], &got); !errors.Is(err, expert.ErrBadCall) {
			t.Fatalf("seed %d: a code of -128: %v", seed, err)
		}
	}
}

func FuzzParseCall(f *testing.F) {
	f.Add(must(f)(AppendCall(nil, 1, sampleCodes()))[HeaderLen:])
	f.Add(must(f)(AppendCall(nil, 1, sampleCall(false)))[HeaderLen:])
	f.Add(must(f)(AppendCall(nil, 1, sampleCall(true)))[HeaderLen:])
	used := must(f)(AppendCall(nil, 1, coded(rand.New(rand.NewPCG(1, 1)), 3, 64, 32).naming(3)))[HeaderLen:]
	f.Add(used)
	f.Fuzz(func(t *testing.T, body []byte) {
		var x, y Call
		if err := ParseCall(used, &y); err != nil { // what is in it does not matter
			t.Fatal(err)
		}
		y.Forget(1 << 20)
		if err := ParseCall(body, &x); err != nil {
			if !errors.Is(err, expert.ErrBadCall) {
				t.Fatalf("%v does not wrap ErrBadCall", err)
			}
			return
		}
		frame := must(t)(AppendCall(nil, 1, x))
		if len(frame) > HeaderLen+len(body) {
			t.Fatalf("%d bytes became %d", len(body), len(frame))
		}
		if err := ParseCall(frame[HeaderLen:], &y); err != nil || len(y.Calls) != len(x.Calls) {
			t.Fatalf("second round: %v, %v", err, y)
		}
	})
}

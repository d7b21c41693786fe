package jury

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/gguf"
)

// types are all that the package widens.
var types = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0,
	gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.IQ4NL, gguf.IQ4XS, gguf.MXFP4, gguf.TQ1_0, gguf.TQ2_0,
	gguf.IQ1S, gguf.IQ1M, gguf.IQ2XXS, gguf.IQ2XS, gguf.IQ2S, gguf.IQ3XXS, gguf.IQ3S}

// randomBlocks are n blocks of random codes with scales of a sensible size.
func randomBlocks(r *rand.Rand, t gguf.Type, n int) []byte {
	size := t.TypeSize()
	data := make([]byte, n*size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	put := func(b []byte) { // a 16-bit float from 2^-7 to 2^-5
		binary.LittleEndian.PutUint16(b, uint16(8+r.IntN(2))<<10|uint16(r.IntN(1024))|uint16(r.IntN(2))<<15)
	}
	for i := range n {
		b := data[i*size : (i+1)*size]
		switch t {
		case gguf.F32:
			binary.LittleEndian.PutUint32(b, math.Float32bits(float32(r.IntN(2001)-1000)/8192))
		case gguf.BF16:
			binary.LittleEndian.PutUint16(b, uint16(math.Float32bits(float32(r.IntN(2001)-1000)/8192)>>16))
		case gguf.MXFP4:
			b[0] = byte(118 + r.IntN(6))
		case gguf.Q2_K:
			put(b[80:])
			put(b[82:])
		case gguf.Q3_K, gguf.Q6_K, gguf.TQ1_0, gguf.TQ2_0:
			put(b[size-2:])
		case gguf.IQ1M: // the scale is in the top of four words; this sets its exponent
			b[55] = b[55]&0x0f | 2<<4
		case gguf.Q4_1, gguf.Q5_1, gguf.Q4_K, gguf.Q5_K:
			put(b)
			put(b[2:])
		default:
			put(b)
		}
	}
	return data
}

func stored(t testing.TB, r *rand.Rand, typ gguf.Type, in, out int) *Stored {
	t.Helper()
	m, err := NewStored(typ, in, out, randomBlocks(r, typ, in*out/typ.BlockSize()))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// network is one of random weights; x are rows for it. Only whole numbers and
// exact quotients are drawn, so that every machine draws the same.
func network(t testing.TB, r *rand.Rand, a, b gguf.Type, dim, ff, rows int, act Activation) (Network, []float32) {
	n := Network{W1: stored(t, r, a, dim, ff), W2: stored(t, r, b, ff, dim), W3: stored(t, r, a, dim, ff), Act: act}
	if act == SwiGLUClamped {
		values := func(k int) []float32 {
			v := make([]float32, k)
			for i := range v {
				v[i] = float32(r.IntN(201)-100) / 64
			}
			return v
		}
		n.B1, n.B2, n.B3 = values(ff), values(dim), values(ff)
	}
	x := make([]float32, rows*dim)
	for i := range x {
		x[i] = float32(r.IntN(4001)-2000) / 4096
	}
	return n, x
}

// TestGolden: these bits are the same on every machine. Weights, inputs and
// outputs are hashed through the rulings on slightly altered answers.
func TestGolden(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(7, 7))
	const want = "5804a5d9510f7e89"
	var all []byte
	for i, typ := range types {
		n, x := network(t, r, typ, types[(i+5)%len(types)], 256, 512, 2, Activation(i%2))
		for how := range arithmetics {
			y, err := n.Apply(ctx, how, x)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range y {
				all = binary.BigEndian.AppendUint64(all, math.Float64bits(v))
			}
		}
		y, _ := n.Apply(ctx, Floats, x)
		answer := make([]float32, len(y))
		for k, v := range y {
			answer[k] = float32(v) * (1 + float32(r.IntN(9)-4)/1024)
		}
		ruling, err := Judge(ctx, n, x, answer)
		if err != nil {
			t.Fatal(err)
		}
		all = binary.BigEndian.AppendUint32(append(all, ruling.Output[:]...), ruling.Error)
	}
	if got := hex.EncodeToString(sum(all)); got != want {
		t.Errorf("the hash of all bits is %s, want %s", got, want)
	}
}

// bigDot sums exact products in 300 bits.
func bigDot(m Matrix, o int, x []*big.Float) *big.Float {
	in, _ := m.Size()
	w := make([]float64, in)
	m.Row(o, w)
	s := new(big.Float).SetPrec(300)
	for i := range w {
		p := new(big.Float).SetPrec(300).SetFloat64(w[i])
		s.Add(s, p.Mul(p, x[i]))
	}
	return s
}

// TestKernelAgainstExactNumbers compares with a network computed in 300 bits.
func TestKernelAgainstExactNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const dim, ff = 64, 96
	n, x := network(t, r, gguf.Q8_0, gguf.Q5_1, dim, ff, 1, SwiGLU)
	got, err := n.Apply(context.Background(), Floats, x)
	if err != nil {
		t.Fatal(err)
	}
	in := make([]*big.Float, dim)
	for i, v := range x {
		in[i] = new(big.Float).SetFloat64(float64(v))
	}
	h := make([]*big.Float, ff)
	for o := range h {
		g := bigDot(n.W1, o, in)
		v, _ := g.Float64()
		e := bigExp(-v)
		e.Add(e, big.NewFloat(1))
		h[o] = new(big.Float).SetPrec(300).Quo(g, e)
		h[o].Mul(h[o], bigDot(n.W3, o, in))
	}
	var off, norm float64
	for o := range dim {
		want, _ := bigDot(n.W2, o, h).Float64()
		off += (got[o] - want) * (got[o] - want)
		norm += want * want
	}
	if rel := math.Sqrt(off / norm); !(rel < 1e-14) {
		t.Errorf("relative error %.3g, want less than 1e-14", rel)
	}
}

// TestRowsAreIndependent: a row's result does not depend on its neighbours.
func TestRowsAreIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n, x := network(t, r, gguf.Q4_K, gguf.Q6_K, 256, 256, 5, SwiGLU)
	for how := range arithmetics {
		all, err := n.Apply(context.Background(), how, x)
		if err != nil {
			t.Fatal(err)
		}
		for row := range 5 {
			one, err := n.Apply(context.Background(), how, x[row*256:(row+1)*256])
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range one {
				if v != all[row*256+i] {
					t.Fatalf("arithmetic %d, row %d, value %d: %v alone, %v among others", how, row, i, v, all[row*256+i])
				}
			}
		}
	}
}

func TestBadCases(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(8, 9))
	n, x := network(t, r, gguf.Q8_0, gguf.Q8_0, 64, 32, 1, SwiGLU)
	odd := n
	odd.W3 = stored(t, r, gguf.Q8_0, 64, 64)
	biased := n
	biased.B1 = make([]float32, 32)
	for name, c := range map[string]struct {
		n Network
		x []float32
	}{
		"nothing": {Network{}, x}, "W3": {odd, x}, "half the biases": {biased, x}, "no rows": {n, nil},
		"part of a row": {n, x[:63]}, "too many rows": {n, make([]float32, 64*(MaxRows+1))},
	} {
		if _, err := Judge(ctx, c.n, c.x, c.x); !errors.Is(err, ErrBadCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Judge(gone, n, x, x); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, typ := range []gguf.Type{gguf.Q8_1, gguf.I8, gguf.Q8_K, gguf.I32, 99} {
		if _, err := NewStored(typ, 256, 1, make([]byte, max(typ.TypeSize(), 1))); !errors.Is(err, ErrBadCase) {
			t.Errorf("%v: %v", typ, err)
		}
	}
}

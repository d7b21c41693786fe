package jury

import (
	"context"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/gguf"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:8]
}

func TestFindings(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(10, 11))
	n, x := network(t, r, gguf.Q8_0, gguf.Q4_K, 256, 256, 4, SwiGLU)
	right, err := n.Apply(ctx, Blocks32, x)
	if err != nil {
		t.Fatal(err)
	}
	scaled := func(f float64) []float32 {
		y := make([]float32, len(right))
		for i, v := range right {
			y[i] = float32(v * f)
		}
		return y
	}
	nan, long, inf := scaled(1), append(scaled(1), 0), append([]float32{}, x...)
	nan[3] = float32(math.NaN())
	inf[0] = float32(math.Inf(-1))
	tau := float64(DefaultTau) / Unit
	for _, c := range []struct {
		name string
		x, y []float32
		want ledger.Finding
	}{
		{"right", x, scaled(1), ledger.Innocent},
		{"just inside", x, scaled(1 + 0.99*tau), ledger.Innocent},
		{"between", x, scaled(1 + 1.01*tau), ledger.Inconclusive},
		{"just below twice", x, scaled(1 + 1.99*tau), ledger.Inconclusive},
		{"above", x, scaled(1 + 2.02*tau), ledger.Guilty},
		{"zeros", x, make([]float32, len(x)), ledger.Guilty},
		{"no number", x, nan, ledger.Guilty},
		{"too long", x, long, ledger.Guilty},
		{"none", x, nil, ledger.Guilty},
	} {
		got, err := Judge(ctx, n, c.x, c.y)
		if err != nil {
			t.Fatal(err)
		}
		if v := Grade(got.Error, DefaultTau); v != c.want {
			t.Errorf("%s: %v with an error of %d, want %v", c.name, v, got.Error, c.want)
		}
	}
	if got, err := Judge(ctx, n, inf, scaled(1)); err != nil || got != void() {
		t.Errorf("an input that is not finite: %+v, %v", got, err)
	}
}

// TestZeroNetwork: an answer of zeros to a network of zeros is right.
func TestZeroNetwork(t *testing.T) {
	zero, err := NewStored(gguf.F32, 32, 32, make([]byte, 4*32*32))
	if err != nil {
		t.Fatal(err)
	}
	n := Network{W1: zero, W2: zero, W3: zero}
	x := make([]float32, 32)
	got, err := Judge(context.Background(), n, x, make([]float32, 32))
	if err != nil || Grade(got.Error, 0) != ledger.Innocent {
		t.Errorf("%+v, %v", got, err)
	}
	x[0] = 1
	if got, _ = Judge(context.Background(), n, x, x); Grade(got.Error, DefaultTau) != ledger.Guilty {
		t.Errorf("something for nothing: %+v", got)
	}
}

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		rel, tau uint32
		want     ledger.Finding
	}{
		{0, 0, ledger.Innocent}, {1, 0, ledger.Guilty}, {5, 5, ledger.Innocent}, {6, 5, ledger.Inconclusive}, {10, 5, ledger.Inconclusive}, {11, 5, ledger.Guilty},
		{MaxError, math.MaxUint32 - 1, ledger.Guilty}, {math.MaxUint32 - 1, math.MaxUint32 - 1, ledger.Innocent},
	} {
		if got := Grade(c.rel, c.tau); got != c.want {
			t.Errorf("%d of %d: %v, want %v", c.rel, c.tau, got, c.want)
		}
	}
}

// TestOutputsDiffer: the hash tells values and arithmetics apart.
func TestOutputsDiffer(t *testing.T) {
	seen := map[ledger.Hash]bool{void().Output: true}
	for how := range arithmetics {
		for _, y := range [][]float64{{0}, {0, 0}, {1}, {math.Nextafter(1, 2)}, {math.Copysign(0, -1)}} {
			h := hash(how, y)
			if seen[h] {
				t.Errorf("arithmetic %d, %v: the hash was there before", how, y)
			}
			seen[h] = true
		}
	}
}

func TestHalf(t *testing.T) {
	for bits := range 1 << 15 { // not negative
		v := half(uint16(bits))
		if n := half(uint16(bits | 1<<15)); !math.IsNaN(v) && (n != -v || !math.Signbit(n)) {
			t.Fatalf("%#x: %v, with a sign %v", bits, v, n)
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if got := roundHalf(v); got != v {
			t.Fatalf("%v rounds to %v", v, got)
		}
		up := half(uint16(bits + 1))
		if math.IsInf(up, 0) {
			continue
		}
		for _, c := range []struct{ x, want float64 }{{v*0.75 + up*0.25, v}, {v*0.25 + up*0.75, up}} {
			if got := roundHalf(c.x); got != c.want {
				t.Fatalf("%v, between %v and %v, rounds to %v", c.x, v, up, got)
			}
		}
	}
}

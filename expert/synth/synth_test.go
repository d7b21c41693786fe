package synth

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/gguf"
)

func tiny(t testing.TB, quant string) Config {
	t.Helper()
	c, err := Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.Quant = quant
	return c
}

func bytesOf(t testing.TB, c Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(context.Background(), &b, c, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLoads: the file passes the importer's checks in every quantisation, and
// says the shape that was asked for.
func TestLoads(t *testing.T) {
	for _, quant := range Quants() {
		c := tiny(t, quant)
		b := bytesOf(t, c)
		m, err := expert.NewModel("tiny", b, expert.Options{})
		if err != nil {
			t.Fatalf("%s: %v", quant, err)
		}
		s := m.Shape()
		if s.Layers != 2 || len(s.SparseLayers) != 2 || s.Experts != 8 || s.TopK != 2 || s.Dim != 256 || s.FF != 256 ||
			s.Vocab != 300 || s.Context != 1024 || s.Heads != 4 || s.KVHeads != 2 || s.HeadDim != 64 || s.RopeBase != 1e6 || s.NormEps != 1e-6 {
			t.Errorf("%s: shape %+v", quant, s)
		}
		size, err := c.Bytes()
		if over := int64(len(b)) - size; err != nil || over < 0 || over > 64<<10 {
			t.Errorf("%s: Bytes says %d, the file has %d (%v)", quant, size, len(b), err)
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	c := tiny(t, "Q4_K_M")
	a, b := bytesOf(t, c), bytesOf(t, c)
	c.Seed++
	if !bytes.Equal(a, b) {
		t.Error("one config gave two files")
	}
	if other := bytesOf(t, c); bytes.Equal(a, other) {
		t.Error("two seeds gave one file")
	}
}

func TestVocabulary(t *testing.T) {
	m, err := expert.NewModel("tiny", bytesOf(t, tiny(t, "Q8_0")), expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, _ := m.File().Strings("tokenizer.ggml.tokens")
	seen := make(map[string]bool)
	for _, s := range tokens {
		if seen[s] {
			t.Errorf("token %q occurs twice", s)
		}
		seen[s] = true
	}
	if len(tokens) != 300 || tokens[0] != "!" || tokens[255] != "Ń" || !seen["Ġ"] || !seen["Ċ"] {
		t.Errorf("%d tokens: %q", len(tokens), tokens)
	}
	eos, _ := m.File().Uint("tokenizer.ggml.eos_token_id")
	if tokens[eos] != "<|endoftext|>" {
		t.Errorf("end of text is %q", tokens[eos])
	}
}

// TestEndNeverWins: the rows of the control tokens are zero, no others are.
func TestEndNeverWins(t *testing.T) {
	for _, quant := range Quants() {
		m, err := expert.NewModel("tiny", bytesOf(t, tiny(t, quant)), expert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		head, _ := m.Tensor("output.weight")
		row := len(head.Data) / 300
		for i := range 300 {
			zero := !bytes.ContainsFunc(head.Data[i*row:(i+1)*row], func(r rune) bool { return r != 0 })
			if zero != (i >= 297) {
				t.Errorf("%s: row %d is zero: %v", quant, i, zero)
			}
		}
	}
}

// TestMoments: the values have mean 0 and the standard deviation asked for.
func TestMoments(t *testing.T) {
	const n = 1 << 18
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K} {
		for _, sigma := range []float64{1, 0.02, 0.003} {
			b := make([]byte, typ.RowBytes(n))
			fill(b, typ, sigma, rand.NewPCG(5, 5))
			var sum, squares float64
			values := dequantise(typ, b)
			for _, x := range values {
				sum += x
				squares += x * x
			}
			if len(values) != n {
				t.Fatalf("%v: %d values", typ, len(values))
			}
			mean, deviation := sum/n/sigma, math.Sqrt(squares/n)/sigma
			if math.Abs(mean) > 0.02 || math.Abs(deviation-1) > 0.03 {
				t.Errorf("%v, sigma %g: mean %.4f sigma, deviation %.4f sigma", typ, sigma, mean, deviation)
			}
		}
	}
}

// dequantise is the plain reading of ggml-quants.c.
func dequantise(typ gguf.Type, b []byte) (x []float64) {
	for size := typ.TypeSize(); len(b) > 0; b = b[size:] {
		switch typ {
		case gguf.F32:
			x = append(x, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		case gguf.F16:
			x = append(x, fromHalf(b))
		case gguf.BF16:
			x = append(x, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16)))
		case gguf.Q4_0:
			for _, q := range b[2:18] {
				x = append(x, fromHalf(b)*(float64(q&15)-8), fromHalf(b)*(float64(q>>4)-8))
			}
		case gguf.Q8_0:
			for _, q := range b[2:34] {
				x = append(x, fromHalf(b)*float64(int8(q)))
			}
		case gguf.Q4_K:
			x = append(x, dequantiseQ4K(b)...)
		case gguf.Q6_K:
			x = append(x, dequantiseQ6K(b)...)
		}
	}
	return x
}

func dequantiseQ4K(b []byte) (x []float64) {
	scales := b[4:16]
	for j := range 8 {
		var sc, m byte
		if j < 4 {
			sc, m = scales[j]&63, scales[j+4]&63
		} else {
			sc = scales[j+4]&15 | scales[j-4]>>6<<4
			m = scales[j+4]>>4 | scales[j]>>6<<4
		}
		for _, q := range b[16+j/2*32 : 16+j/2*32+32] {
			x = append(x, fromHalf(b)*float64(sc)*float64(q>>(j%2*4)&15)-fromHalf(b[2:])*float64(m))
		}
	}
	return x
}

func dequantiseQ6K(b []byte) []float64 {
	x := make([]float64, 256)
	ql, qh, sc, d := b[:128], b[128:192], b[192:208], fromHalf(b[208:])
	for half := range 2 {
		for l := range 32 {
			low, low2, high := ql[half*64+l], ql[half*64+l+32], qh[half*32+l]
			for k, q := range []byte{low&15 | high&3<<4, low2&15 | high>>2&3<<4, low>>4 | high>>4&3<<4, low2>>4 | high>>6<<4} {
				x[half*128+k*32+l] = d * float64(int8(sc[half*8+k*2+l/16])) * (float64(q) - 32)
			}
		}
	}
	return x
}

func fromHalf(b []byte) float64 {
	h := binary.LittleEndian.Uint16(b)
	sign := 1 - 2*float64(h>>15)
	exp, frac := int(h>>10&31), float64(h&1023)
	if exp == 0 {
		return sign * math.Ldexp(frac, -24)
	}
	return sign * math.Ldexp(1+frac/1024, exp-15)
}

// TestHalf: every finite half float comes back from its own value, and values
// between two go to the nearer.
func TestHalf(t *testing.T) {
	for h := range uint16(0x7c00) {
		b := binary.LittleEndian.AppendUint16(nil, h)
		x := fromHalf(b)
		if got := half(float32(x)); got != h {
			t.Fatalf("half(%g) = %#x, want %#x", x, got, h)
		}
		if got := half(float32(-x)); got != h|0x8000 && x != 0 {
			t.Fatalf("half(%g) = %#x, want %#x", -x, got, h|0x8000)
		}
		next := fromHalf(binary.LittleEndian.AppendUint16(nil, h+1))
		if h+1 == 0x7c00 {
			break
		}
		if got := half(float32(x + (next-x)*0.49)); got != h {
			t.Fatalf("just below the middle of %g and %g: %#x, want %#x", x, next, got, h)
		}
		if got := half(float32(x + (next-x)*0.51)); got != h+1 {
			t.Fatalf("just above the middle of %g and %g: %#x, want %#x", x, next, got, h+1)
		}
	}
	if half(1e9) != 0x7c00 {
		t.Error("a large number is not infinite")
	}
}

// TestNamed: the named shapes have the sizes of the models they stand for.
func TestNamed(t *testing.T) {
	for name, gigabytes := range map[string]float64{"tiny": 0.0024, "olmoe": 4.2, "lumabri": 2.2, "qwen3-30b-a3b": 19.0,
		"mixtral-8x7b": 28.9, "qwen1.5-moe-a2.7b": 15.2, "granite-3-3b-a800m": 2.05, "gpt-oss-20b": 11.9, "deepseek2-64": 9.9, "glm-4.5-air": 112,
		"deepseek-moe-16b": 17.4, "ling-lite": 17.9, "dots.llm1": 151, "ling-mini-2.0": 10.5, "ernie-4.5-21b-a3b": 14, "hunyuan-a13b": 52, "minimax-m2": 147} {
		c, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(n) / 1e9; got < gigabytes*0.9 || got > gigabytes*1.1 {
			t.Errorf("%s has %.4f GB, want about %g", name, got, gigabytes)
		}
	}
	if _, err := Named("gpt-5"); err == nil || !strings.Contains(err.Error(), "there are tiny, olmoe") {
		t.Errorf("got %v", err)
	}
}

// TestThin: fewer experts and tokens, and the file loads.
func TestThin(t *testing.T) {
	c := tiny(t, "Q8_0")
	thin, err := c.Thin(3, 280)
	if err != nil {
		t.Fatal(err)
	}
	m, err := expert.NewModel("thin", bytesOf(t, thin), expert.Options{})
	if err != nil || m.Shape().Experts != 3 || m.Shape().Vocab != 280 {
		t.Errorf("%+v, %v", m.Shape(), err)
	}
	for _, bad := range [][2]int{{1, 0}, {9, 0}, {0, 10}, {0, 301}} {
		if _, err := c.Thin(bad[0], bad[1]); err == nil {
			t.Errorf("%d experts, %d tokens: no error", bad[0], bad[1])
		}
	}
	if same, err := c.Thin(0, 0); err != nil || same.Shape.Experts != 8 || same.Shape.Vocab != 300 {
		t.Errorf("nothing cut: %+v, %v", same, err)
	}
}

func TestCut(t *testing.T) {
	c := tiny(t, "Q8_0")
	cut, err := c.Cut(1)
	if err != nil || cut.Shape.Layers != 1 {
		t.Fatalf("got %+v, %v", cut, err)
	}
	if m, err := expert.NewModel("cut", bytesOf(t, cut), expert.Options{}); err != nil || m.Layers() != 1 {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{0, 3, -1} {
		if _, err := c.Cut(n); err == nil {
			t.Errorf("cut to %d layers", n)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"quant":  func(c *Config) { c.Quant = "Q3_X" },
		"vocab":  func(c *Config) { c.Shape.Vocab = 10 },
		"layers": func(c *Config) { c.Shape.Layers = 0 },
		"many":   func(c *Config) { c.Shape.Experts = 5000 },
		"top-k":  func(c *Config) { c.Shape.TopK = 9 },
		"rows":   func(c *Config) { c.Shape.FF = 100 },
	} {
		c := tiny(t, "Q4_K_M")
		change(&c)
		if err := Write(context.Background(), io.Discard, c, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestWriteFile: the file is there when it is complete, and only then.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tiny.gguf")
	ctx, cancel := context.WithCancel(context.Background())
	err := WriteFile(ctx, path, tiny(t, "Q8_0"), func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("a cancelled write left %v", left)
	}
	var last, total int64
	if err := WriteFile(context.Background(), path, tiny(t, "Q8_0"), func(d, n int64) { last, total = d, n }); err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, quant := range Quants() {
		b.Run(quant, func(b *testing.B) {
			c := tiny(b, quant)
			c.Shape.Experts = 64
			n, err := c.Bytes()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n)
			for b.Loop() {
				if err := Write(context.Background(), io.Discard, c, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

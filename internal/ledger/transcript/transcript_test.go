package transcript

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

const chain = "test"

func identity() Identity {
	return Identity{Chain: chain, Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32)), Client: ledger.Key{4}, Model: ledger.Hash{5}, Salt: ledger.Salt{6}, Request: []byte("what was asked")}
}

// written is a transcript of random numbers with so many tokens.
func written(seed uint64, tokens int) *Transcript {
	r := rand.New(rand.NewPCG(seed, 1))
	w := NewWriter(identity(), []int32{1, 2, 3}, true)
	for i := range tokens {
		var routes []uint16
		if i == 0 {
			routes = []uint16{9, 8, 7, 6}
		}
		row := make([]float32, 16)
		for k := range row {
			row[k] = float32(r.NormFloat64())
		}
		w.Add(uint64(i/40), int32(i), row, append(routes, uint16(r.IntN(8)), uint16(r.IntN(8))))
	}
	w.End(uint64(tokens / 40))
	return w.Transcript()
}

func TestChainHolds(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 64, 100} {
		tr := written(1, n)
		if err := tr.Verify(chain); err != nil {
			t.Errorf("%d tokens: %v", n, err)
		}
		if got := len(tr.Answer()); got != n || len(tr.Parts) != (n+31)/32 {
			t.Errorf("%d tokens: %d in %d parts", n, got, len(tr.Parts))
		}
	}
}

func TestChainBreaks(t *testing.T) {
	for name, alter := range map[string]func(*Transcript){
		"a token":            func(x *Transcript) { x.Parts[1].Tokens[3]++ },
		"the prompt":         func(x *Transcript) { x.Prompt[0]++ },
		"its length":         func(x *Transcript) { x.Prompt = x.Prompt[:2] },
		"what was asked":     func(x *Transcript) { x.Request = []byte("what was not asked") },
		"the salt":           func(x *Transcript) { x.Salt[3]++ },
		"greedy":             func(x *Transcript) { x.Greedy = false },
		"a route":            func(x *Transcript) { x.Parts[2].Routes[0]++ },
		"a value":            func(x *Transcript) { x.Parts[0].Print[5].Bits++ },
		"a part left out":    func(x *Transcript) { x.Parts = append(x.Parts[:1:1], x.Parts[2:]...) },
		"the first left out": func(x *Transcript) { x.Parts = x.Parts[1:] },
		"two swapped":        func(x *Transcript) { x.Parts[0], x.Parts[1] = x.Parts[1], x.Parts[0] },
		"a signature":        func(x *Transcript) { x.Parts[0].Chunk.Sig[0]++ },
		"another session":    func(x *Transcript) { x.Parts[1].Chunk.Session[0]++ },
		"nothing":            func(x *Transcript) { x.Parts = nil },
	} {
		tr := written(1, 100)
		alter(tr)
		if err := tr.Verify(chain); !errors.Is(err, ledger.ErrMalformed) && !errors.Is(err, ledger.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := written(1, 40).Verify("another"); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("another chain: %v", err)
	}
}

// TestEquivocation: two answers to one prompt are proof for the ledger.
func TestEquivocation(t *testing.T) {
	a, b := written(1, 64), written(2, 64)
	if !a.Parts[1].Chunk.Contradicts(b.Parts[1].Chunk) || a.Parts[0].Chunk.Contradicts(a.Parts[0].Chunk) {
		t.Error("two chunks for one place do not contradict each other, or one does itself")
	}
}

func TestEncoding(t *testing.T) {
	for _, n := range []int{1, 32, 70} {
		want := written(3, n)
		got, err := Decode(want.Encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%d tokens: %v", n, err)
		}
		for cut := range 60 {
			if _, err := Decode(want.Encode()[:cut]); !errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("%d bytes: %v", cut, err)
			}
		}
		if _, err := Decode(append(want.Encode(), 0)); !errors.Is(err, ledger.ErrMalformed) {
			t.Fatal("a byte too many")
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(written(4, 40).Encode())
	f.Add(append([]byte{2, 0, 15: 0}, 0, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Fatal("not the same again")
		}
		_ = got.Verify(chain) // any transcript is verified without a crash
	})
}

func TestFingerprint(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	rows := make([]float32, 1000)
	for i := range rows {
		rows[i] = float32(r.NormFloat64())
	}
	f := Take(rows)
	if d := f.Compare(rows); len(f) != Values || d != (Difference{Exponents: 1}) {
		t.Errorf("the same rows: %+v", d)
	}
	least := math.Inf(1)
	in := map[uint32]bool{}
	for _, v := range f {
		least = math.Min(least, math.Abs(float64(rows[v.Index])))
		in[v.Index] = true
	}
	for i, x := range rows {
		if !in[uint32(i)] && math.Abs(float64(x)) > least {
			t.Fatalf("value %d, %v, is larger than %v and not in the fingerprint", i, x, least)
		}
	}
	flipped := make([]float32, len(rows))
	for i, x := range rows {
		flipped[i] = -x
	}
	if d := f.Compare(flipped); d.Exponents != 0 || d.Mean != 128 {
		t.Errorf("signs: %+v", d)
	}
	if d := f.Compare(rows[:10]); d.Exponents > 0.05 {
		t.Errorf("values out of the rows: %+v", d)
	}
	if len(Take(rows[:5])) != 5 {
		t.Error("few values")
	}
}

func TestFailed(t *testing.T) {
	good := Seen{Difference: Difference{Exponents: 1}}
	if got := Failed([]Seen{good, {}, good, good}, DefaultLimits()); got != 250_000 {
		t.Errorf("%d", got)
	}
	if got := Failed(nil, DefaultLimits()); got != 0 {
		t.Errorf("nothing: %d", got)
	}
}

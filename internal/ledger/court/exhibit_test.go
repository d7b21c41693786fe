package court

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

const chain = "court-test"

func private(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

// randomFrame has so many calls with some rows each of a batch.
func randomFrame(rng *rand.Rand, calls int) Frame {
	fill := func(b expert.Batch) expert.Batch {
		for i := range b.Data {
			b.Data[i] = float32(rng.NormFloat64())
		}
		return b
	}
	f := Frame{In: fill(expert.NewBatch(1+rng.IntN(9), 1+rng.IntN(5)))}
	for i := range calls {
		c := expert.Call{Expert: expert.ID{Layer: 3, Index: uint16(i)}}
		for r := range f.In.Rows {
			if rng.IntN(2) == 0 || r == 0 {
				c.Rows = append(c.Rows, int32(r))
			}
		}
		f.Calls = append(f.Calls, c)
		f.Results = append(f.Results, expert.Result{Out: fill(expert.NewBatch(len(c.Rows), f.In.Dim))})
	}
	return f
}

// signed is the frame's header from among five that were signed at once.
func (f Frame) signed(by ed25519.PrivateKey) ledger.Result {
	b := ledger.Bundle{Holder: ledger.KeyOf(by), Gate: ledger.Key{9}, Said: make([]ledger.Said, 5)}
	b.Said[3] = ledger.Said{Model: ledger.Hash{7}, Epoch: 4, Layer: 3, Seq: 11}
	b.Said[3].Rows, b.Said[3].Input, b.Said[3].Output = f.Roots()
	b.Sign(chain, by)
	return b.Result(3)
}

func caseOf(h ledger.Result) ledger.Case {
	call := h.Call()
	return ledger.Case{Kind: ledger.CaseResult, Accused: h.Holder, Model: h.Model, Epoch: h.Epoch, Evidence: ledger.Sum([]byte("deed"), call[:])}
}

// TestEveryRowIsProved: rows of frames of all shapes, and nothing else.
func TestEveryRowIsProved(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for calls := 1; calls < 12; calls++ {
		f := randomFrame(rng, calls)
		h := f.signed(private(1))
		for i, c := range f.Calls {
			for k := range c.Rows {
				e, err := f.Exhibit(h, i, []int{k})
				if err != nil {
					t.Fatal(err)
				}
				got, err := ParseExhibit(e.Encode())
				if err != nil || !reflect.DeepEqual(got, e) {
					t.Fatalf("%v\n got %+v\nwant %+v", err, got, e)
				}
				if err := got.Check(chain, caseOf(h)); err != nil {
					t.Fatalf("call %d, row %d of %d: %v", i, k, h.Rows, err)
				}
				for what, change := range map[string]func(*Exhibit){
					"output": func(e *Exhibit) { e.Rows[0].Y[0]++ },
					"input":  func(e *Exhibit) { e.Rows[0].X[0]++ },
					"expert": func(e *Exhibit) { e.Expert++ },
					"header": func(e *Exhibit) { e.Header.Sketch[0]++ },
					"path":   func(e *Exhibit) { e.Header.Path[1][2]++ },
					"place":  func(e *Exhibit) { e.Rows[0].Place = (e.Rows[0].Place + 1) % h.Rows },
					"past":   func(e *Exhibit) { e.Rows[0].Place = h.Rows },
					"twice":  func(e *Exhibit) { e.Rows = append(e.Rows, e.Rows[0]) },
					"nobody": func(e *Exhibit) { e.Header = f.signed(private(2)) },
					"none":   func(e *Exhibit) { e.Rows = nil },
				} {
					if what == "place" && h.Rows == 1 {
						continue
					}
					bad, err := ParseExhibit(e.Encode())
					if err != nil {
						t.Fatal(err)
					}
					change(&bad)
					if err := bad.Check(chain, caseOf(h)); !errors.Is(err, ErrUnproven) {
						t.Fatalf("another %s: %v", what, err)
					}
				}
				if err := got.Check("another chain", caseOf(h)); !errors.Is(err, ErrUnproven) {
					t.Errorf("of another chain: %v", err)
				}
				c := caseOf(h)
				c.Evidence[0]++
				if err := got.Check(chain, c); !errors.Is(err, ErrUnproven) {
					t.Errorf("of another case: %v", err)
				}
			}
		}
	}
	f := randomFrame(rng, 2)
	h := f.signed(private(1))
	f.Results[0].Out.Data[0]++
	if _, err := f.Exhibit(h, 0, []int{0}); !errors.Is(err, ErrUnproven) {
		t.Errorf("a header of another frame: %v", err)
	}
}

// TestFloatsAlike: both ways to write rows give the same bytes.
func TestFloatsAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	for n := range 70 {
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(rng.Uint32())
		}
		if a, b := floats([]byte{1}, v), floatsSlow([]byte{1}, v); !bytes.Equal(a, b) {
			t.Fatalf("%x and %x", a, b)
		}
	}
}

func BenchmarkRoots(b *testing.B) { // one token, 8 experts
	rng := rand.New(rand.NewPCG(3, 0))
	f := Frame{In: expert.NewBatch(1, 512)}
	for i := range 8 {
		f.Calls = append(f.Calls, expert.Call{Expert: expert.ID{Index: uint16(i)}, Rows: []int32{0}})
		out := expert.NewBatch(1, 512)
		for k := range out.Data {
			out.Data[k] = rng.Float32()
		}
		f.Results = append(f.Results, expert.Result{Out: out})
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Roots()
	}
}

// FuzzExhibit: what parses encodes to the same bytes, and nothing crashes.
func FuzzExhibit(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 0))
	for calls := range 4 {
		frame := randomFrame(rng, calls+1)
		e, err := frame.Exhibit(frame.signed(private(1)), calls, []int{0})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseExhibit(b)
		if err != nil {
			if !errors.Is(err, ErrForm) {
				t.Fatal(err)
			}
			return
		}
		if got := e.Encode(); !bytes.Equal(got, b) {
			t.Fatalf("%x encodes to %x", b, got)
		}
		_ = e.prove()
	})
}

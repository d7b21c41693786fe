package ledger_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func bundle(rng *rand.Rand, n int) *ledger.Bundle {
	b := &ledger.Bundle{Holder: ledger.KeyOf(person(1)), Gate: ledger.Key{2}, Session: ledger.Session{3}}
	for i := range n {
		b.Said = append(b.Said, ledger.Said{Model: ledger.Hash{4}, Epoch: 5, Seq: uint64(i), Layer: uint16(rng.IntN(9)), Rows: 1,
			Input: ledger.Hash{byte(rng.Uint32())}, Output: ledger.Hash{byte(rng.Uint32())}})
	}
	b.Sign(chain, person(1))
	return b
}

// TestEveryResultOfABundleIsProof: alone, whatever their number, and nothing else
// under that signature is.
func TestEveryResultOfABundleIsProof(t *testing.T) {
	const seed = 11
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for n := 1; n <= ledger.MaxBundle; n++ {
		b := bundle(rng, n)
		if err := ledger.Verify(chain, b); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			r := b.Result(i)
			var got ledger.Result
			if err := ledger.Decode(ledger.Encode(&r), &got); err != nil {
				t.Fatal(err)
			}
			if err := ledger.Verify(chain, got); err != nil || got.Seq != uint64(i) {
				t.Fatalf("result %d of %d: %v", i, n, err)
			}
			if ledger.Verify("another", got) == nil {
				t.Fatal("passes on another chain")
			}
			for what, change := range map[string]func(*ledger.Result){
				"output":      func(r *ledger.Result) { r.Output[31]++ },
				"session":     func(r *ledger.Result) { r.Session[0]++ },
				"holder":      func(r *ledger.Result) { r.Holder = ledger.KeyOf(person(2)) },
				"place":       func(r *ledger.Result) { r.Place ^= 1 },
				"far place":   func(r *ledger.Result) { r.Place = r.Last + 1 },
				"tree":        func(r *ledger.Result) { r.Last = ledger.MaxBundle },
				"longer path": func(r *ledger.Result) { r.Path = append(r.Path[:len(r.Path):len(r.Path)], ledger.Hash{}) },
				"a hash": func(r *ledger.Result) {
					r.Path = append([]ledger.Hash{{1}}, r.Path[min(1, len(r.Path)):]...)
				},
				"no path": func(r *ledger.Result) { r.Path = append(r.Path, ledger.Hash{})[:0]; r.Last++ },
			} {
				bad := got
				change(&bad)
				if ledger.Verify(chain, bad) == nil {
					t.Fatalf("result %d of %d passes with another %s", i, n, what)
				}
			}
		}
	}
	// What is signed is no receipt, no chunk, no voucher, and a lone result is a tree of one.
	b := bundle(rng, 1)
	lone := b.Result(0)
	if again := lone.Sign(chain, person(1)); again.Sig != lone.Sig {
		t.Error("a lone result is not a bundle of one")
	}
	if !errors.Is(ledger.Decode(ledger.Encode(&lone)[:200], new(ledger.Result)), ledger.ErrMalformed) {
		t.Error("half a result")
	}
}

// TestContradictionsAcrossBundles: what a holder says of one call in two bundles is
// told apart, and the ledger takes both as they are.
func TestContradictionsAcrossBundles(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 0))
	a, b := bundle(rng, 7), bundle(rng, 30)
	b.Said[20] = a.Said[3]
	b.Sign(chain, person(1))
	if x, y := a.Result(3), b.Result(20); x.Contradicts(y) || ledger.Verify(chain, y) != nil {
		t.Error("the same result in two bundles contradicts itself")
	}
	b.Said[20].Output[5]++
	b.Sign(chain, person(1))
	x, y := a.Result(3), b.Result(20)
	if !x.Contradicts(y) || ledger.Verify(chain, x) != nil || ledger.Verify(chain, y) != nil {
		t.Error("two results of one call do not contradict")
	}
	if z := b.Result(21); x.Contradicts(z) {
		t.Error("results of two calls contradict")
	}
}

func BenchmarkBundleSign(b *testing.B) {
	x := bundle(rand.New(rand.NewPCG(1, 0)), ledger.MaxBundle)
	for b.Loop() {
		x.Sign(chain, person(1))
	}
}

func BenchmarkBundleVerify(b *testing.B) {
	enc := ledger.Encode(bundle(rand.New(rand.NewPCG(1, 0)), ledger.MaxBundle))
	for b.Loop() {
		var x ledger.Bundle
		if ledger.Decode(enc, &x) != nil || ledger.Verify(chain, &x) != nil {
			b.Fatal("does not verify")
		}
	}
}

package credit

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestBooksBecomeEqual: nodes that know parts, and ask one another at random, know
// everything after some rounds, and what one does not have another is not asked
// for again.
func TestBooksBecomeEqual(t *testing.T) {
	for seed := range uint64(4) {
		t.Log("seed", seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		const nodes = 8
		var books []*Book
		for range nodes {
			books = append(books, book(t, Config{Window: 6}, 9))
		}
		for holder := byte(20); holder < 30; holder++ {
			for gate := byte(1); gate <= 4; gate++ {
				for epoch := uint64(4); epoch <= 9; epoch++ {
					// Of some epochs nodes know different totals.
					for range 1 + rng.IntN(2) {
						mustTake(t, books[rng.IntN(nodes)], signed(gate, holder, epoch, 1+rng.Uint64N(100), 0))
					}
				}
			}
		}
		for holder := byte(20); holder < 25; holder++ {
			for _, b := range books {
				if err := b.Wear(badge(holder, "h", "t", 1+rng.Uint64N(3))); err != nil && !errors.Is(err, ledger.ErrUnknown) {
					t.Fatal(err)
				}
			}
		}
		rounds := 0
		for equal := false; !equal; rounds++ {
			if rounds == 40 {
				t.Fatal("40 rounds, and books differ")
			}
			for i, b := range books {
				from := books[(i+1+rng.IntN(nodes-1))%nodes]
				bundle, err := from.Lacking(b.Digest())
				if err == nil {
					_, err = b.Merge(bundle)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			equal = true
			for _, b := range books[1:] {
				equal = equal && bytes.Equal(b.Digest(), books[0].Digest())
			}
		}
		t.Logf("%d rounds", rounds)
		nothing, err := books[0].Lacking(books[1].Digest())
		if err != nil || string(nothing) != bundleHead {
			t.Errorf("%d bytes between equal books, %v", len(nothing), err)
		}
	}
}

func mustTake(t *testing.T, b *Book, r ledger.Receipt) {
	t.Helper()
	if _, err := b.Add(r); err != nil {
		t.Fatal(err)
	}
}

// TestLackingFitsAndGoesOn: a bundle is bounded, and who asks again gets the rest.
func TestLackingFitsAndGoesOn(t *testing.T) {
	full, empty := book(t, Config{}, 1), book(t, Config{}, 1)
	const receipts = 3 * MaxBundle / (ledger.ReceiptSize + 3)
	for i := range uint64(receipts) {
		r := signed(1, 2, 1, i+1, 0)
		r.Holder = ledger.Key{byte(i), byte(i >> 8)} // signatures are not what is tested
		full.receipts[placeOf(r)] = r
		full.sums[1] += full.markReceipt(r)
	}
	seen := map[ledger.Key]bool{}
	rounds := 0
	for ; len(seen) < receipts && rounds < 40; rounds++ {
		bundle, err := full.Lacking(empty.Digest())
		if err != nil || len(bundle) > MaxBundle {
			t.Fatalf("%d bytes, %v", len(bundle), err)
		}
		before := len(seen)
		err = records(bundle, func(r ledger.Receipt) error { seen[r.Holder] = true; return nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rounds == 0 && len(seen) < 700 {
			t.Errorf("a bundle of %d receipts", len(seen)-before)
		}
	}
	if len(seen) < receipts*9/10 {
		t.Errorf("%d of %d after %d rounds", len(seen), receipts, rounds)
	}
}

// FuzzLacking: a stranger's digest is refused or answered with a bundle.
func FuzzLacking(f *testing.F) {
	b := New(Config{Chain: chain})
	b.Turn(3)
	for epoch := range uint64(3) {
		if _, err := b.Add(signed(1, 2, epoch, 5, 0)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Digest())
	f.Add(New(Config{}).Digest())
	f.Add([]byte(digestHead))
	f.Fuzz(func(t *testing.T, digest []byte) {
		bundle, err := b.Lacking(digest)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		got := New(Config{Chain: chain})
		got.Turn(3)
		if _, err := got.Merge(bundle); err != nil {
			t.Fatal(err)
		}
	})
}

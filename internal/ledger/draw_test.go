package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func candidates(rng *rand.Rand, n int) []ledger.Candidate {
	all := make([]ledger.Candidate, n)
	for i := range all {
		binary.BigEndian.PutUint64(all[i].Peer[:], rng.Uint64())
		all[i].Weight = rng.Uint64() >> rng.IntN(64)
	}
	return all
}

// slowDraw is the draw once more from its words: lay the weights end to end in
// the order of keys, point at one place with a number of 512 bits, take out who
// lies there, and again.
func slowDraw(seed ledger.Hash, what string, all []ledger.Candidate, n int) []ledger.Candidate {
	left := append([]ledger.Candidate(nil), all...)
	sort.Slice(left, func(i, j int) bool { return bytes.Compare(left[i].Peer[:], left[j].Peer[:]) < 0 })
	var drawn []ledger.Candidate
	for i := 0; i < n; i++ {
		total := big.NewInt(0)
		for _, c := range left {
			total = new(big.Int).Add(total, new(big.Int).SetUint64(c.Weight))
		}
		if total.Sign() == 0 {
			break
		}
		name := sha256.Sum256([]byte(what))
		var number []byte
		for half := byte(0); half < 2; half++ {
			b := append([]byte("draw"), seed[:]...)
			b = append(b, name[:]...)
			b = binary.BigEndian.AppendUint64(b, uint64(i))
			h := sha256.Sum256(append(b, half))
			number = append(number, h[:]...)
		}
		point := new(big.Int).Mod(new(big.Int).SetBytes(number), total)
		end := big.NewInt(0)
		for at, c := range left {
			if end = new(big.Int).Add(end, new(big.Int).SetUint64(c.Weight)); point.Cmp(end) < 0 {
				drawn = append(drawn, c)
				left = append(append([]ledger.Candidate(nil), left[:at]...), left[at+1:]...)
				break
			}
		}
	}
	return drawn
}

func TestDrawEqualsItsWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for i := range 300 {
		all := candidates(rng, rng.IntN(40))
		seed := ledger.Sum([]byte{byte(i)})
		n := rng.IntN(20)
		got := ledger.Draw(seed, "x", all, n)
		if want := slowDraw(seed, "x", all, n); !slices.Equal(got, want) {
			t.Fatalf("draw %d: %v, want %v", i, got, want)
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if !slices.Equal(ledger.Draw(seed, "x", all, n), got) {
			t.Fatal("the order of candidates matters")
		}
	}
}

// TestDrawIsProportional: over many seeds the first drawn follows the weights,
// within four standard deviations.
func TestDrawIsProportional(t *testing.T) {
	all := []ledger.Candidate{{ledger.Key{1}, 10}, {ledger.Key{2}, 20}, {ledger.Key{3}, 30}, {ledger.Key{4}, 40}, {ledger.Key{5}, 0}}
	const n = 20_000
	count := map[ledger.Key]float64{}
	for i := range uint64(n) {
		for _, c := range ledger.Draw(ledger.Sum(binary.BigEndian.AppendUint64(nil, i)), "x", all, 1) {
			count[c.Peer]++
		}
	}
	for _, c := range all {
		p := float64(c.Weight) / 100
		if d := math.Abs(count[c.Peer] - n*p); d > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("weight %d drawn %v times of %d", c.Weight, count[c.Peer], n)
		}
	}
}

// TestTermsAreStaggered: with everybody there, a quarter of the seats ends in
// each epoch and nobody leaves before its term; who is gone is replaced.
func TestTermsAreStaggered(t *testing.T) {
	p := ledger.DefaultParams()
	rng := rand.New(rand.NewPCG(8, 8))
	all := candidates(rng, 40)
	for i := range all {
		all[i].Weight = 1 + rng.Uint64N(100)
	}
	var seats []ledger.Seat
	for epoch := uint64(5); epoch < 40; epoch++ {
		able := all
		if epoch%7 == 0 { // some are away
			able = all[10:]
		}
		before := seats
		seats = ledger.Elect(ledger.Sum([]byte{byte(epoch)}), epoch, ledger.Hash{1}, before, able, p)
		if len(seats) != int(p.Seats) {
			t.Fatalf("epoch %d: %d seats", epoch, len(seats))
		}
		ends := map[uint64]int{}
		for _, s := range seats {
			ends[s.Until]++
		}
		for e := epoch; e < epoch+p.TermEpochs; e++ {
			if ends[e] != 4 {
				t.Fatalf("epoch %d: %d seats end in %d", epoch, ends[e], e)
			}
		}
		for _, b := range before {
			here := slices.ContainsFunc(able, func(c ledger.Candidate) bool { return c.Peer == b.Peer })
			kept := slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == b.Peer && s.Until == b.Until })
			if b.Until >= epoch && here && !kept {
				t.Fatalf("epoch %d: %v lost its seat", epoch, b.Peer)
			}
		}
	}
	if got := ledger.Elect(ledger.Hash{}, 3, ledger.Hash{1}, nil, all[:2], p); len(got) != 2 {
		t.Errorf("of two candidates %d sit", len(got))
	}
}

func TestAssigned(t *testing.T) {
	var seats []ledger.Seat
	for i := range 16 {
		seats = append(seats, ledger.Seat{Peer: ledger.Key{byte(i)}})
	}
	count := map[ledger.Key]int{}
	const n = 4000
	for i := range uint64(n) {
		client := ledger.Key(ledger.Sum(binary.BigEndian.AppendUint64(nil, i)))
		gates := ledger.Assigned(ledger.Hash{1}, client, seats)
		if len(gates) != 3 || gates[0] == gates[1] || gates[1] == gates[2] || gates[0] == gates[2] {
			t.Fatalf("assigned %v", gates)
		}
		count[gates[0]]++
		// Who is not the first choice may go without moving the others.
		rest := slices.DeleteFunc(slices.Clone(seats), func(s ledger.Seat) bool { return s.Peer == gates[2] })
		if again := ledger.Assigned(ledger.Hash{1}, client, rest); again[0] != gates[0] || again[1] != gates[1] {
			t.Fatal("a gate that left moved the others")
		}
	}
	for k, c := range count {
		if c < n/16-80 || c > n/16+80 {
			t.Errorf("gate %v is first for %d of %d clients", k, c, n)
		}
	}
	for n, want := range map[int]ledger.Amount{1: 100, 2: 100, 3: 100} {
		var sum ledger.Amount
		for rank := range n {
			sum += ledger.GateShare(100, rank, n)
		}
		if sum != want || ledger.GateShare(100, n, n) != 0 || ledger.GateShare(100, -1, n) != 0 {
			t.Errorf("shares of %d gates add up to %d", n, sum)
		}
	}
}

// TestEscrowIsNeverPromisedTwice: however late gates are paid, what is reserved
// is there, and idle epochs change nothing but the epoch.
func TestEscrowIsNeverPromisedTwice(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		e := ledger.Escrow{Balance: ledger.Amount(rng.Uint64N(1_000_000))}
		for epoch := uint64(1); epoch < 60; epoch++ {
			if direct, stepped := e.At(epoch+5), e.At(epoch).At(epoch+2).At(epoch+5); direct != stepped {
				t.Fatalf("seed %d: %+v and %+v", seed, direct, stepped)
			}
			e = e.At(epoch)
			switch rng.IntN(6) {
			case 0:
				e.Balance += ledger.Amount(rng.Uint64N(100_000))
			case 1:
				e.Withdraw = min(e.Balance, ledger.Amount(rng.Uint64N(500_000)))
			}
			for _, of := range []uint64{epoch - 1, epoch - 2} {
				budget, paid, open := e.BudgetOf(of)
				if !open || rng.IntN(3) == 0 {
					continue
				}
				n := budget - paid
				if rng.IntN(2) == 0 {
					n = ledger.Amount(rng.Uint64N(uint64(n) + 1))
				}
				e.Pay(of, n)
			}
			if e.Balance > 1<<40 || e.Reserved() > e.Balance {
				t.Fatalf("seed %d, epoch %d: %+v", seed, epoch, e)
			}
		}
	}
}

func TestTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for n := 1; n < 70; n++ {
		leaves := make([]ledger.Leaf, n)
		var total uint64
		for i := range leaves {
			leaves[i] = ledger.Leaf{Holder: ledger.Key{byte(i), 1}, Units: rng.Uint64N(1000), Passed: rng.Uint64N(9)}
			total += leaves[i].Units
		}
		root, proofs, err := ledger.Tree(leaves)
		if err != nil || root.Units != total {
			t.Fatalf("%d leaves: %d units of %d, %v", n, root.Units, total, err)
		}
		for i, p := range proofs {
			if !p.Holds(leaves[i], root) {
				t.Fatalf("leaf %d of %d has no proof", i, n)
			}
			for _, bad := range []ledger.Leaf{{leaves[i].Holder, leaves[i].Units + 1, leaves[i].Passed}, {leaves[i].Holder, leaves[i].Units, leaves[i].Passed + 1}, {ledger.Key{9}, leaves[i].Units, leaves[i].Passed}} {
				if p.Holds(bad, root) {
					t.Fatalf("leaf %d of %d proves another", i, n)
				}
			}
			if j := rng.IntN(n); j != i && p.Holds(leaves[j], root) {
				t.Fatalf("the proof of leaf %d of %d proves %d", i, n, j)
			}
			for at := range p.Path { // units moved from one side to the other
				q := ledger.Proof{Index: p.Index, Path: slices.Clone(p.Path)}
				q.Path[at].Units++
				if q.Holds(leaves[i], root) {
					t.Fatal("a proof with another sum holds")
				}
			}
		}
	}
	if _, _, err := ledger.Tree(nil); err == nil {
		t.Error("a tree of nothing")
	}
	if _, _, err := ledger.Tree([]ledger.Leaf{{Units: 1 << 63}, {Units: 1 << 63}}); err == nil {
		t.Error("a sum that overflows")
	}
}

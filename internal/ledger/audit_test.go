package ledger_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestAuditDraw: as many answers are drawn as the parameter says, whatever their
// gates put into them, and neither gate nor client looks at its own.
func TestAuditDraw(t *testing.T) {
	const seed = 11
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	var seats []ledger.Seat
	for range 8 {
		var s ledger.Seat
		fill(rng, reflect.ValueOf(&s).Elem())
		seats = append(seats, s)
	}
	const n = 20_000
	drawn, looked := 0, map[ledger.Key]int{}
	for range n {
		var c ledger.Chunk
		fill(rng, reflect.ValueOf(&c).Elem())
		var word ledger.Hash
		fill(rng, reflect.ValueOf(&word).Elem())
		c.Gate, c.Client = seats[rng.IntN(8)].Peer, seats[rng.IntN(8)].Peer
		if ledger.Audited(word, c, 100) {
			drawn++
		}
		if ledger.Audited(word, c, 0) || !ledger.Audited(word, c, ledger.BpsOne) {
			t.Fatal("none is some, or all is not all")
		}
		auditors, paid := ledger.Auditors(word, c, seats)
		for i, k := range auditors {
			if (i < paid) != slices.Contains(ledger.Assigned(word, c.Client, seats), k) {
				t.Fatalf("%d of the auditors can be paid, and %d. not or so", paid, i)
			}
		}
		if others := slices.DeleteFunc(ledger.Assigned(word, c.Client, seats), func(k ledger.Key) bool { return k == c.Gate || k == c.Client }); paid != min(len(others), ledger.MaxAuditors) {
			t.Fatalf("%d auditors of %d who could be paid", paid, len(others))
		}
		if len(auditors) != ledger.MaxAuditors || slices.Contains(auditors, c.Gate) || slices.Contains(auditors, c.Client) {
			t.Fatalf("%v look at an answer of %v to %v", auditors, c.Gate, c.Client)
		}
		looked[auditors[0]]++
		again := c
		again.Tokens[0]++
		again.Fingerprint, again.Routing, again.Prev = ledger.Hash{}, ledger.Hash{}, ledger.Hash{}
		again.Index, again.Epoch = 0, 0
		if ledger.Audited(word, again, 5000) != ledger.Audited(word, c, 5000) || !slices.Equal(auditors, first(ledger.Auditors(word, again, seats))) {
			t.Fatal("what a gate chooses moves the draw")
		}
	}
	if drawn < n/100-60 || drawn > n/100+60 {
		t.Errorf("%d of %d drawn at 1 %%", drawn, n)
	}
	for k, m := range looked {
		if m < n/8*9/10 || m > n/8*11/10 {
			t.Errorf("%v looks at %d of %d", k, m, n)
		}
	}
	if got, paid := ledger.Auditors(ledger.Hash{}, ledger.Chunk{Gate: seats[0].Peer}, seats[:1]); len(got) != 0 || paid != 0 {
		t.Errorf("%v look where there is nobody else", got)
	}
}

func first(keys []ledger.Key, _ int) []ledger.Key { return keys }

package ledger_test

import (
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

func share(weights []uint64, of ...int) float64 {
	var total, sum float64
	for _, w := range weights {
		total += float64(w)
	}
	for _, i := range of {
		sum += float64(weights[i])
	}
	return sum / total
}

// TestSplittingABondGainsNothing: among honest earners of any bonds and work, one
// with less than half of the bonds that splits its own over many keys, each of
// which passes as many audits as the whole, has no larger share than one key with
// its bond and all the work in the world.
func TestSplittingABondGainsNothing(t *testing.T) {
	const seed = 5
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	for range 300 {
		var all []ledger.Earner
		var bonds ledger.Amount
		for range 2 + rng.IntN(20) {
			e := ledger.Earner{Work: 1<<10 + rng.Uint64N(1<<(11+rng.IntN(10))), Bond: 1000 + ledger.Amount(rng.Uint64N(uint64(10_000*ledger.Neuro))), Many: 1}
			bonds += e.Bond
			all = append(all, e)
		}
		keys := 1 + rng.IntN(100)
		bond := 1 + ledger.Amount(rng.Uint64N(uint64(bonds)))/ledger.Amount(keys)
		split, mine := append([]ledger.Earner(nil), all...), []int{}
		for range keys {
			mine = append(mine, len(split))
			split = append(split, ledger.Earner{Work: all[0].Work, Bond: bond, Many: 1})
		}
		whole := append(append([]ledger.Earner(nil), all...), ledger.Earner{Work: 1 << 30, Bond: bond * ledger.Amount(keys), Many: 1})
		got, most := share(ledger.EmissionWeights(split, ledger.BpsOne), mine...), share(ledger.EmissionWeights(whole, ledger.BpsOne), len(all))
		if got > most*1.001 { // weights are whole numbers
			t.Fatalf("%d keys have a share of %f, one at most %f", keys, got, most)
		}
	}
}

func TestEmissionWeights(t *testing.T) {
	one := func(work uint64, bond ledger.Amount) ledger.Earner {
		return ledger.Earner{Work: work, Bond: bond, Many: 1}
	}
	for _, c := range []struct {
		name string
		all  []ledger.Earner
		bps  uint64
		want float64 // share of the first
	}{
		{"alike", []ledger.Earner{one(5, 10), one(5, 10)}, ledger.BpsOne, 0.5},
		{"no bond", []ledger.Earner{one(5, 0), one(5, 10)}, ledger.BpsOne, 0},
		{"less work", []ledger.Earner{one(1, 10), one(3, 10), one(3, 10)}, ledger.BpsOne, 1.0 / 7},
		{"ten times the work for its bond", []ledger.Earner{one(50, 10), one(5, 10), one(5, 10)}, ledger.BpsOne, 1.0 / 3},
		{"the same at twice the bound", []ledger.Earner{one(50, 10), one(5, 10), one(5, 10)}, 2 * ledger.BpsOne, 0.5},
		{"a tenth of the bond", []ledger.Earner{one(5, 1), one(5, 10), one(5, 10)}, ledger.BpsOne, 1.0 / 21},
		{"more bond alone", []ledger.Earner{one(5, 1000), one(5, 1000), one(5, 1), one(5, 1), one(5, 1000)}, ledger.BpsOne, 1 / 3.002},
		{"bonds without work do not count", []ledger.Earner{one(5, 10), one(5, 10), one(0, 1000)}, ledger.BpsOne, 0.5},
		{"most of the bonds, hardly work", []ledger.Earner{one(1, 1000), one(5000, 10), one(5000, 10)}, ledger.BpsOne, 1000.0 / 1020},
	} {
		if got := share(ledger.EmissionWeights(c.all, c.bps), 0); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("%s: a share of %f, want %f", c.name, got, c.want)
		}
	}
	for _, w := range ledger.EmissionWeights([]ledger.Earner{one(0, 5), one(7, 0)}, ledger.BpsOne) {
		if w != 0 {
			t.Error("who has no bond or no work has a weight")
		}
	}
}

package attacks

import (
	"math/big"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// capture: what a share of the stake has of committees. A bad gate harms the
// sessions assigned to it; money of others it cannot move at all.
func capture() Attack {
	return Attack{"capture", "a share of the stake sits on the committee; it gets its share of sessions and no more", func() Outcome {
		p := ledger.DefaultParams()
		numbers := map[string]float64{}
		for _, c := range []struct {
			name  string
			share *big.Rat
		}{{"10", big.NewRat(1, 10)}, {"20", big.NewRat(1, 5)}, {"33", big.NewRat(1, 3)}, {"50", big.NewRat(1, 2)}} {
			numbers["majority_ppm_at_"+c.name+"_pct"] = 1e6 * atLeast(int64(p.Seats), int64(p.Seats/2+1), c.share)
			numbers["all_three_gates_of_a_client_ppm_at_"+c.name+"_pct"] = 1e6 * atLeast(ledger.AssignedGates, ledger.AssignedGates, c.share)
		}
		// A full committee of liars still cannot take what no client signed.
		s := newStage(cast{clients: 1, gates: 3, holders: 1})
		c := s.clients[0]
		gate, epoch, v := s.paid(c, 400*ledger.Neuro, 10*ledger.Neuro)
		before := s.worth(c)
		forged := v
		forged.Cum = 400 * ledger.Neuro
		s.do(gate, s.settlement(gate, epoch, v, forged))
		took := before - s.worth(c)
		return Outcome{Gain: took - 10, Bound: 0, Numbers: numbers}
	}}
}

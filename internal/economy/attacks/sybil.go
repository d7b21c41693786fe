package attacks

import (
	"encoding/binary"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// sybil: one bond is split over a hundred keys, for draws and for income.
func sybil() Attack {
	return Attack{"sybil", "one bond is split over a hundred keys; draws and income go by bond", func() Outcome {
		p := ledger.DefaultParams()
		const bond, keys, rounds = 10_000 * ledger.Neuro, 100, 400
		// A hundred others of the same bond, so that no bound of the weight binds.
		seats := func(parts int) float64 {
			var all []ledger.Candidate
			mine := map[ledger.Key]bool{}
			add := func(name string, i int, b ledger.Amount, own bool) {
				k := newPerson(name, i).key
				mine[k] = own
				all = append(all, ledger.Candidate{Peer: k, Weight: ledger.Weigh(b, bond, 5000)})
			}
			for i := range 100 {
				add("other", i, bond, false)
			}
			for i := range parts {
				add("sybil", i, bond/ledger.Amount(parts), true)
			}
			n := 0
			for i := range rounds {
				seed := ledger.Sum([]byte("sybil"), binary.BigEndian.AppendUint64(nil, uint64(i)))
				for _, c := range ledger.Draw(seed, "gating", all, int(p.Seats)) {
					if mine[c.Peer] {
						n++
					}
				}
			}
			return float64(n) / rounds
		}
		one, many := seats(1), seats(keys)
		income := neuro(ledger.IncomeCap(bond/keys, p))*keys - neuro(ledger.IncomeCap(bond, p))
		return Outcome{Gain: income, Bound: 0, Numbers: map[string]float64{
			"seats_of_one_key": one, "seats_of_100_keys": many, "least_bond_of_a_gate_neuro": neuro(ledger.Amount(p.MinGateBond)),
		}}
	}}
}

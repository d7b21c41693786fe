package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// replay: a gate brings one voucher again and again, older ones after newer
// ones, in another epoch and under another gate's name.
func replay() Attack {
	return Attack{"replay", "a gate settles vouchers repeatedly, out of order, elsewhere; only the highest total counts", func() Outcome {
		const deposit, owed = 400 * ledger.Neuro, 20 * ledger.Neuro
		s := newStage(cast{clients: 1, gates: 3, holders: 1})
		c := s.clients[0]
		gate, epoch, v := s.paid(c, deposit, owed)
		older := s.voucher(c, gate, epoch, 1, owed/2)
		tries, taken := 0.0, 0.0
		bring := func(m *ledger.SettleEpoch) {
			before := s.worth(c)
			s.try(gate, m)
			tries++
			if s.worth(c) < before {
				taken++
			}
		}
		for range 3 {
			bring(s.settlement(gate, epoch, v, older, v))
			bring(s.settlement(gate, epoch, older))
			bring(s.settlement(gate, epoch-1, v))
			for _, other := range s.gates {
				if other.key != gate.key {
					bring(s.settlement(other, epoch, v))
				}
			}
		}
		forged := v
		forged.Cum *= 2
		bring(s.settlement(gate, epoch, forged))
		took := neuro(purse) - s.worth(c)
		return Outcome{Gain: took - neuro(owed), Bound: 0, Numbers: map[string]float64{"tries": tries, "that_paid": taken, "paid_neuro": took}}
	}}
}

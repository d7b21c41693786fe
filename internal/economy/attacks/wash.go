package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// wash: one person is client, all gates and the holder, and pays itself for
// emission and reputation.
func wash() Attack {
	return Attack{"wash", "client, gates and holder are one and pay each other; the fee is more than the bonus", func() Outcome {
		s := newStage(cast{clients: 1, gates: 3, holders: 1, emission: true})
		c, h := s.clients[0], s.holders[0]
		everybody := append(append([]person{c}, s.gates...), h)
		start := s.worth(everybody...)
		var turned ledger.Amount
		s.do(c, &ledger.Deposit{Model: s.model, Amount: 900 * ledger.Neuro})
		for range 20 {
			s.epochs(1)
			gates, budget := s.assigned(c)
			epoch := s.epoch()
			var claims []*ledger.SettleEpoch
			for rank, g := range gates {
				n := ledger.GateShare(budget, rank, len(gates))
				turned += n
				claims = append(claims, s.closing(g, epoch, []ledger.Leaf{{Holder: h.key, Units: 1000, Passed: 1000}}, s.voucher(c, g, epoch, 1, n)))
			}
			s.epochs(1)
			for i, g := range gates {
				s.do(g, claims[i])
			}
		}
		s.epochs(3)
		gain := s.worth(everybody...) - start
		return Outcome{Gain: gain, Bound: 0, Numbers: map[string]float64{
			"turned_over_neuro": neuro(turned), "lost_of_turnover_pct": -100 * gain / neuro(turned),
		}}
	}}
}

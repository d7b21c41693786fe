package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// doubleSpend: a client signs vouchers for its whole escrow to every gate, in
// several sessions and epochs. Gates serve what their share of the budget
// covers, which they can compute alone.
func doubleSpend() Attack {
	return Attack{"double-spend", "a client promises its whole escrow to every gate at once; shares of a budget cover each other", func() Outcome {
		const deposit = 400 * ledger.Neuro
		s := newStage(cast{clients: 1, gates: 8, holders: 1})
		c := s.clients[0]
		s.do(c, &ledger.Deposit{Model: s.model, Amount: deposit})
		s.epochs(1)
		var served, promised ledger.Amount
		type claim struct {
			gate  person
			epoch uint64
			v     []ledger.Voucher
		}
		var claims []claim
		for range ledger.BudgetEpochs { // as many as may be open at once
			mine, budget := s.assigned(c)
			for _, g := range s.gates {
				k := claim{gate: g, epoch: s.epoch()}
				for session := range byte(3) {
					k.v = append(k.v, s.voucher(c, g, s.epoch(), session, deposit))
					promised += deposit
				}
				claims = append(claims, k)
				for rank := range mine {
					if mine[rank].key == g.key {
						served += ledger.GateShare(budget, rank, len(mine))
					}
				}
			}
			s.epochs(1)
			// The oldest settle last, in the order that hurts most.
			for i := len(claims) - 1; i >= 0; i-- {
				if k := claims[i]; k.epoch+1 == s.epoch() {
					s.try(k.gate, s.settlement(k.gate, k.epoch, k.v...))
				}
			}
		}
		left := s.worth(c)
		paid := neuro(purse) - left
		return Outcome{Gain: neuro(served) - paid, Bound: 0, Numbers: map[string]float64{
			"promised_neuro": neuro(promised), "served_neuro": neuro(served), "paid_neuro": paid,
		}}
	}}
}

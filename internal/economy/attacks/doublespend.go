package attacks

import (
	"errors"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
)

// doubleSpend: a client signs vouchers for its whole escrow to every gate, in
// several sessions and epochs. Each gate's till knows from the ledger what its
// share of the budget covers, and the gate serves for no more.
func doubleSpend() Attack {
	return Attack{"double-spend", "a client promises its whole escrow to every gate at once; shares of a budget cover each other", func() Outcome {
		const deposit, step = 400 * ledger.Neuro, ledger.Neuro / 8
		s := newStage(cast{clients: 1, gates: 8, holders: 1})
		c := s.clients[0]
		s.do(c, &ledger.Deposit{Model: s.model, Amount: deposit})
		s.epochs(1)
		var served, promised ledger.Amount
		s.withBooks(func(b *books) {
			tills := map[ledger.Key]*pay.Till{}
			for _, g := range s.gates {
				tills[g.key] = b.till(g)
			}
			for range ledger.BudgetEpochs { // as many as may be open at once
				for _, g := range s.gates {
					for session := range byte(3) {
						promised += deposit
						// As high as the gate takes it, an eighth of a NEURO at a time.
						for cum := step; cum <= deposit; cum += step {
							fresh, err := tills[g.key].Accept(s.ctx(), s.voucher(c, g, s.epoch(), session, cum))
							if errors.Is(err, ledger.ErrCap) || errors.Is(err, ledger.ErrUnauthorized) {
								break
							}
							check(err)
							served += fresh
						}
					}
				}
				s.epochs(1)
				s.settleLast(tills)
			}
			for range ledger.SettleEpochs {
				s.epochs(1)
				s.settleLast(tills)
			}
		})
		paid := neuro(purse) - s.worth(c)
		return Outcome{Gain: neuro(served) - paid, Bound: 0, Numbers: map[string]float64{
			"promised_neuro": neuro(promised), "served_neuro": neuro(served), "paid_neuro": paid,
		}}
	}}
}

// settleLast has all gates settle the epoch that they must settle now, which is
// when a budget is emptiest.
func (s *stage) settleLast(tills map[ledger.Key]*pay.Till) {
	if s.epoch() <= ledger.SettleEpochs {
		return
	}
	for _, g := range s.gates {
		check(tills[g.key].Settle(s.ctx(), s.epoch()-ledger.SettleEpochs))
	}
}

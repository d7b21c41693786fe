package attacks

import (
	"errors"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
)

// halted: the chain makes no blocks, for as long as anybody likes, and a client
// promises on and on. Epochs, budgets and deadlines count blocks, so they stand
// still, vouchers are taken to the end of the budget and not beyond, and when
// blocks come again all of it is paid.
func halted() Attack {
	return Attack{"halted", "while the chain halts a client promises more than it has; budgets stand still with the epochs", func() Outcome {
		const deposit, window = 400 * ledger.Neuro, 16 * tokenPrice
		s := newStage(cast{clients: 1, gates: 3, holders: 1})
		c := s.clients[0]
		s.do(c, &ledger.Deposit{Model: s.model, Amount: deposit})
		s.epochs(1)
		gates, budget := s.assigned(c)
		before, epoch := s.ledger.Clock(), s.epoch()
		served, windows := ledger.Amount(0), 0
		var share ledger.Amount
		s.withBooks(func(b *books) {
			purse := b.purse(c, deposit*10)
			tills := map[int]*pay.Till{}
			for rank, g := range gates {
				tills[rank] = b.till(g)
				share += ledger.GateShare(budget, rank, len(gates))
				for step := ledger.Amount(1); ; step++ {
					// In steps of a million windows, that the play ends.
					fresh, err := tills[rank].Accept(s.ctx(), b.due(purse, g, epoch, byte(rank), step*window*10_000))
					if errors.Is(err, ledger.ErrCap) {
						break
					}
					check(err)
					served += fresh
					windows += 10_000
				}
			}
			if s.ledger.Clock() != before {
				check(errors.New("time passed on a chain that halts"))
			}
			s.epochs(1) // blocks come again
			for _, t := range tills {
				check(t.Settle(s.ctx(), epoch))
			}
		})
		paid := neuro(purse) - s.worth(c)
		return Outcome{Gain: neuro(served) - paid, Bound: 0, Numbers: map[string]float64{
			"served_while_halted_neuro": neuro(served), "budget_neuro": neuro(share), "paid_after_neuro": paid, "windows": float64(windows),
		}}
	}}
}

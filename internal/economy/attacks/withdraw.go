package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// withdrawEarly: a client asks for its escrow back before it is served, and
// hopes that it is gone when the gate settles at the last moment.
func withdrawEarly() Attack {
	return Attack{"withdraw", "a client withdraws its escrow while its vouchers are out; it leaves after the last settlement", func() Outcome {
		const deposit, owed = 400 * ledger.Neuro, 40 * ledger.Neuro
		s := newStage(cast{clients: 1, gates: 3, holders: 1})
		c := s.clients[0]
		s.do(c, &ledger.Deposit{Model: s.model, Amount: deposit})
		s.epochs(1)
		s.do(c, &ledger.RequestWithdraw{Model: s.model, Amount: deposit})
		gates, _ := s.assigned(c)
		epoch := s.epoch()
		var got float64
		s.withBooks(func(b *books) {
			till := b.till(gates[0])
			_, err := till.Accept(s.ctx(), b.due(b.purse(c, deposit), gates[0], epoch, 1, owed))
			check(err)
			s.epochs(2) // the last in which it may settle
			before := s.worth(c)
			check(till.Settle(s.ctx(), epoch))
			got = before - s.worth(c)
		})
		s.epochs(int(s.p.WithdrawEpochs))
		return Outcome{Gain: neuro(owed) - got, Bound: 0, Numbers: map[string]float64{"owed_neuro": neuro(owed), "paid_neuro": got}}
	}}
}

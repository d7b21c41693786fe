package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// spam: somebody fills the chain with messages: those that are refused, the same
// ones again, and those that leave a record. What is refused or repeated leaves
// nothing; what leaves something costs a fee, which is the host's to take.
func spam() Attack {
	return Attack{"spam", "messages that are refused or repeated leave nothing in the state; what leaves something is small and paid for", func() Outcome {
		const n = 200
		s := newStage(cast{clients: 1, gates: 2, holders: 2})
		s.epochs(1)
		g, c := s.gates[0], s.clients[0]
		r := s.result(s.holders[0], g, 1, 1)
		left := func(send func(i int)) float64 {
			records, bytes := s.ledger.Size()
			for i := range n {
				send(i)
			}
			after, more := s.ledger.Size()
			if after == records {
				return float64(more - bytes)
			}
			return float64(more-bytes) / n
		}
		refused := left(func(i int) {
			forged := r
			forged.Seq = uint64(i) + 2
			s.try(c, &ledger.OpenCase{Results: []ledger.Result{forged}})
			s.try(c, &ledger.SettleEpoch{Gate: g.key, Model: s.model, Epoch: s.epoch(), Close: true})
			s.try(c, &ledger.Equivocation{Results: []ledger.Result{r, forged}})
			s.try(c, &ledger.Unbond{Amount: 1})
			s.try(c, &ledger.Claim{Gate: g.key, Model: s.model})
			s.try(c, ledger.TallyPages(s.model, 0, []ledger.TallyRow{{Peer: g.key}})[0])
			s.try(newPerson("stranger", i), &ledger.Heartbeat{Epoch: s.epoch()})
		})
		repeated := left(func(int) { s.try(g, &ledger.Heartbeat{Epoch: s.epoch()}) })
		registered := left(func(i int) { s.try(newPerson("stranger", i), &ledger.RegisterProvider{Roles: ledger.RoleHolder}) })
		escrows := left(func(i int) {
			p := newPerson("depositor", i)
			s.do(c, &ledger.Send{To: p.key, Amount: 1})
			s.try(p, &ledger.Deposit{Model: s.model, Amount: 1})
		})
		// A light client pays for 1,000,000 units of gas and 200 a byte; at a
		// devnet's 1 nneuro for 1000 units:
		const fee = 1_000_000 / 1000
		return Outcome{Gain: refused + repeated, Bound: 0, Numbers: map[string]float64{
			"bytes_left_by_1400_refused": refused, "bytes_left_by_200_repeated": repeated,
			"bytes_a_registration": registered, "bytes_an_escrow": escrows,
			"neuro_a_gigabyte_at_1_nneuro_per_1000_gas": fee / max(registered, escrows) * 1e9 / float64(ledger.Neuro),
		}}
	}}
}

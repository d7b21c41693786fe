package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// stiff: a gate takes the payment and settles a friend instead of the holder
// that has its receipts, whose stub shows the ledger what was left out.
func stiff() Attack {
	return Attack{"stiff", "a gate leaves a holder out of its settlement; the receipt is a claim on its bond", func() Outcome {
		const owed, units = 40 * ledger.Neuro, 1000
		s := newStage(cast{clients: 1, gates: 1, holders: 2})
		c, holder, friend := s.clients[0], s.holders[0], s.holders[1]
		gate, epoch, v := s.paid(c, 400*ledger.Neuro, owed)
		start, had := s.worth(gate, friend), s.worth(holder)
		s.withBooks(func(b *books) {
			stub := b.stub(holder)
			check(stub.Keep(ledger.Receipt{Gate: gate.key, Holder: holder.key, Model: s.model, Epoch: epoch, Units: units}.Sign(chain, gate.private)))
			s.do(gate, s.closing(gate, epoch, []ledger.Leaf{{Holder: friend.key, Units: units}}, v))
			check(stub.Dispute(s.ctx(), epoch))
			s.blocks(int(s.p.DisputeBlocks) + 1)
		})
		honestly := neuro(ledger.SplitGross(owed, s.p).Gate)
		return Outcome{Gain: s.worth(gate, friend) - start - honestly, Bound: 0, Numbers: map[string]float64{
			"holder_got_neuro": s.worth(holder) - had, "holder_was_owed_neuro": neuro(ledger.SplitGross(owed, s.p).Pool),
		}}
	}}
}

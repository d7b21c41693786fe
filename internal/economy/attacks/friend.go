package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// friend: a gate reports units for a friend that did nothing, or gives it
// receipts and does not close, so that the honest holder's part of the pool
// shrinks.
func friend() Attack {
	return Attack{"friend", "a gate invents a friend's units; a pool is for the units that paid tokens need and some slack, and more are the gate's expense", func() Outcome {
		const owed, perRow = 40 * ledger.Neuro, 128
		split := ledger.SplitGross(owed, ledger.DefaultParams())
		// Honestly the gate has its share, and the friend, who did nothing, nothing.
		play := func(invented func(done, most uint64) uint64, silent bool) (gain, honest float64, closed bool) {
			s := newStage(cast{clients: 1, gates: 1, holders: 2, unitsPerRow: perRow})
			c, holder, friend := s.clients[0], s.holders[0], s.holders[1]
			gate, epoch, v := s.paid(c, 400*ledger.Neuro, owed)
			start, before := s.worth(gate, friend), s.worth(holder)
			done := v.Tokens * perRow
			units := invented(done, done*s.p.UnitSlackBps/ledger.BpsOne)
			if closed = s.try(gate, s.closing(gate, epoch, []ledger.Leaf{{Holder: holder.key, Units: done}, {Holder: friend.key, Units: units}}, v)); !closed && silent {
				s.do(holder, s.settlement(gate, epoch, v))
				s.do(holder, s.receipt(gate, holder, epoch, done))
				s.do(friend, s.receipt(gate, friend, epoch, units))
			}
			s.epochs(3)
			return s.worth(gate, friend) - start - neuro(split.Gate), s.worth(holder) - before, closed
		}
		fills, honest, _ := play(func(done, most uint64) uint64 { return most - done }, false)
		share, _, _ := play(func(done, most uint64) uint64 { return most - done + most/4 }, false)
		bond, _, _ := play(func(done, most uint64) uint64 { return 20 * most }, false)
		_, _, closed := play(func(done, most uint64) uint64 { return 1 << 50 }, false)
		silent, _, _ := play(func(done, most uint64) uint64 { return 1 << 50 }, true)
		slack := float64(ledger.DefaultParams().UnitSlackBps) / ledger.BpsOne
		n := map[string]float64{
			"pool_neuro": neuro(split.Pool), "honest_holder_neuro": honest, "beyond_all_it_has_refused": 1,
			"gain_at_the_cost_of_its_share_neuro": share, "gain_at_the_cost_of_its_bond_neuro": bond, "gain_of_a_silent_gate_neuro": silent,
		}
		if closed {
			n["beyond_all_it_has_refused"] = 0
		}
		return Outcome{Gain: max(fills, share, bond, silent), Bound: neuro(split.Pool) * (slack - 1) / slack, Numbers: n}
	}}
}

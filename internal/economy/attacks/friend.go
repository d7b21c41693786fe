package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// friend: a gate reports far more units for a friend than it did, so that the
// honest holder's part of the pool shrinks.
func friend() Attack {
	return Attack{"friend", "a gate inflates a friend's units; the total is capped, and the bond answers for what others lack", func() Outcome {
		const owed, perRow = 40 * ledger.Neuro, 128
		s := newStage(cast{clients: 1, gates: 1, holders: 2, unitsPerRow: perRow})
		c, honest, friend := s.clients[0], s.holders[0], s.holders[1]
		gate, epoch, v := s.paid(c, 400*ledger.Neuro, owed)
		start := s.worth(gate, friend)
		done := v.Tokens * perRow
		most := v.Tokens * perRow * s.p.UnitSlackBps / ledger.BpsOne
		over := s.closing(gate, epoch, []ledger.Leaf{{Holder: honest.key, Units: done}, {Holder: friend.key, Units: most}}, v)
		refused := 0.0
		if !s.try(gate, over) {
			refused = 1
		}
		// What fits: the honest holder keeps its units, the friend has the rest.
		s.do(gate, s.closing(gate, epoch, []ledger.Leaf{{Holder: honest.key, Units: done}, {Holder: friend.key, Units: most - done}}, v))
		split := ledger.SplitGross(owed, s.p)
		honestly := neuro(split.Gate) // and the friend, who did nothing, has nothing
		gain := s.worth(gate, friend) - start - honestly
		// All units that the slack leaves over what was done may be the friend's.
		slack := float64(s.p.UnitSlackBps) / ledger.BpsOne
		return Outcome{Gain: gain, Bound: neuro(split.Pool) * (slack - 1) / slack, Numbers: map[string]float64{
			"over_the_cap_refused": refused, "pool_neuro": neuro(split.Pool), "honest_holder_neuro": s.worth(honest) - neuro(purse) - 10_000,
		}}
	}}
}

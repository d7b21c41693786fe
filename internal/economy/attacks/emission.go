package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// manyKeys: one machine with one bond stands under ten keys, answers the scheduled
// audits of all of them, as one machine can, and hopes for ten parts of the
// emission.
func manyKeys() Attack {
	return Attack{"many-keys", "one machine answers the audits of ten keys for ten parts of the emission; weight and income are bounded by bond", func() Outcome {
		const bond, keys, audited = 10_000 * ledger.Neuro, 10, 1_000_000
		// What the last holders, with one bond together, have of the emission of
		// some epochs, beside ten others with as much bond and audits each.
		play := func(parts int, perBond uint64) float64 {
			s := newStage(cast{gates: 4, holders: 10 + parts, emission: true, change: func(p *ledger.Params) {
				p.EmissionPerBond, p.EmissionStart = perBond, uint64(100*ledger.Neuro)
			}})
			mine := s.holders[10:]
			for _, p := range mine {
				if parts > 1 {
					s.do(p, &ledger.Unbond{Amount: bond - bond/ledger.Amount(parts)})
				}
			}
			s.epochs(2)
			start := s.worth(mine...)
			for range 4 {
				epoch := s.epoch()
				s.epochs(1)
				for _, g := range s.gates {
					m := &ledger.CommitTally{Model: s.model, Epoch: epoch}
					for _, h := range s.holders {
						m.Rows = append(m.Rows, ledger.TallyRow{Peer: h.key, Score: 9000, Audited: audited})
					}
					s.do(g, m)
				}
			}
			s.epochs(1)
			return s.worth(mine...) - start
		}
		n := map[string]float64{}
		loose := ledger.DefaultParams().EmissionPerBond
		tight := uint64(audited * 9 / 10 / (bond / ledger.Neuro)) // an honest holder's weight
		one, many := play(1, loose), play(keys, loose)
		n["one_key_neuro"], n["ten_keys_neuro"], n["times"] = one, many, many/one
		n["times_where_bonds_bind"] = play(keys, tight) / play(1, tight)
		// Ten of twenty parts instead of one of eleven, and never more than the
		// bond may earn.
		return Outcome{Gain: many - one, Bound: one * (10.0/20/(1.0/11) - 1) * 1.01, Numbers: n}
	}}
}

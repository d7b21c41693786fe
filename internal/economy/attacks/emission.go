package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// manyKeys: one machine with one bond stands under ten keys, answers the scheduled
// audits of all of them, as one machine can, and hopes for ten parts of the
// emission.
func manyKeys() Attack {
	return Attack{"many-keys", "one machine answers the audits of ten keys for ten parts of the emission; work counts as far as a bond goes, by what half of all bonds have", func() Outcome {
		const bond, keys, audited = 10_000 * ledger.Neuro, 10, 1_000_000
		// What the last holders, with one bond together, have of the emission of
		// some epochs, beside ten others of which the first few have so much of a
		// bond, and all as many audits each.
		play := func(parts int, bps uint64, small int, of ledger.Amount) (mine, one float64) {
			s := newStage(cast{gates: 4, holders: 10 + parts, emission: true, change: func(p *ledger.Params) {
				p.EmissionBondBps, p.EmissionStart = bps, uint64(100*ledger.Neuro)
			}})
			for i, p := range s.holders {
				switch {
				case i < small:
					s.do(p, &ledger.Unbond{Amount: bond - of})
				case i >= 10 && parts > 1:
					s.do(p, &ledger.Unbond{Amount: bond - bond/ledger.Amount(parts)})
				}
			}
			s.epochs(2)
			start, first := s.worth(s.holders[10:]...), s.worth(s.holders[0])
			for range 4 {
				epoch := s.epoch()
				s.epochs(1)
				for _, g := range s.gates {
					var rows []ledger.TallyRow
					for _, h := range s.holders {
						rows = append(rows, ledger.TallyRow{Peer: h.key, Score: 9000, Audited: audited})
					}
					s.do(g, ledger.TallyPages(s.model, epoch, rows)[0])
				}
			}
			s.epochs(1)
			return s.worth(s.holders[10:]...) - start, s.worth(s.holders[0]) - first
		}
		n := map[string]float64{}
		now, loose := ledger.DefaultParams().EmissionBondBps, uint64(10*ledger.BpsOne)
		one, equal := play(1, now, 0, 0)
		many, _ := play(keys, now, 0, 0)
		free, _ := play(keys, loose, 0, 0)
		twice, _ := play(keys, 2*now, 0, 0)
		n["one_key_neuro"], n["ten_keys_neuro"], n["times"] = one, many, many/one
		n["times_at_twice_the_bound"], n["times_at_ten_times_the_bound"] = twice/one, free/one
		// What the bound costs who has a tenth of the others' bond and as much work.
		for name, bps := range map[string]uint64{"": now, "_at_twice_the_bound": 2 * now, "_at_ten_times_the_bound": loose} {
			_, poor := play(1, bps, 1, bond/10)
			n["part_of_a_tenth_of_the_bond"+name] = poor / equal
		}
		return Outcome{Gain: many - one, Bound: 0.000001, Numbers: n}
	}}
}

package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// selfSlash: a holder with two strikes, whom the third will cost all its bond,
// contradicts itself again and again and has an accomplice find it; or has it
// bring the third case.
func selfSlash() Attack {
	return Attack{"self-slash", "who is about to lose its bond has an accomplice find it before; a finder waits, and loses with the bond", func() Outcome {
		// equivocations are found by the accomplice, who brings the last case or not.
		play := func(equivocations uint64, brings bool) float64 {
			s := newStage(cast{clients: 1, gates: 2, holders: 30, change: func(p *ledger.Params) { p.UnbondEpochs = 24 }})
			s.epochs(1)
			liar, gate, accomplice := s.holders[0], s.gates[0], s.clients[0]
			convict := func(by person, seq uint64) {
				r := s.result(liar, gate, seq, 1)
				k := s.trial(by, &ledger.OpenCase{Results: []ledger.Result{r}, Input: ledger.Hash{1}, Output: ledger.Hash{1}}, r.Call(),
					ledger.Ruling{Output: ledger.Hash{3}, Error: 500_000})
				if k.First.Finding != ledger.Guilty {
					check(errNotGuilty)
				}
			}
			convict(gate, 1)
			convict(gate, 2)
			start := s.worth(accomplice)
			for seq := range equivocations {
				s.do(accomplice, &ledger.Equivocation{Results: []ledger.Result{s.result(liar, gate, 100+seq, 1), s.result(liar, gate, 100+seq, 2)}})
			}
			if last := gate; brings {
				convict(accomplice, 3)
			} else {
				convict(last, 3)
			}
			s.epochs(int(s.p.UnbondEpochs) + 2)
			left, err := s.view().Provider(s.ctx(), liar.key)
			check(err)
			return s.worth(accomplice) - start + neuro(left.Stake())
		}
		nothing, equivocates, brings := play(0, false), play(40, false), play(0, true)
		const bond = 10_000 * 0.9 * 0.5 // before the third strike
		p := ledger.DefaultParams()
		// A challenger has half the reward of a first strike.
		bound := bond * float64(p.StrikeBps1) / ledger.BpsOne * float64(p.SlashRewardBps) / ledger.BpsOne / 2
		return Outcome{Gain: max(equivocates, brings) - nothing, Bound: bound, Numbers: map[string]float64{
			"saved_by_40_equivocations_neuro": equivocates - nothing, "saved_by_bringing_the_case_pct": 100 * (brings - nothing) / bond,
		}}
	}}
}

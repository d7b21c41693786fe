package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// frame: a gate accuses an honest holder for the reward.
func frame() Attack {
	return Attack{"frame", "a gate accuses an honest holder; jurors recompute, and who accused in vain pays", func() Outcome {
		s := newStage(cast{clients: 1, gates: 2, holders: 30})
		s.epochs(1)
		honest, gate := s.holders[0], s.gates[0]
		start, victim := s.worth(gate), s.worth(honest)
		r := s.result(honest, gate, 1, 1)
		s.trial(gate, &ledger.OpenCase{Results: []ledger.Result{r}, Input: ledger.Hash{1}, Output: ledger.Hash{1}}, r.Call(),
			ledger.Ruling{Output: ledger.Hash{3}, Error: 900})
		return Outcome{Gain: s.worth(gate) - start, Bound: -neuro(ledger.Amount(s.p.JuryFee)), Numbers: map[string]float64{"victim_lost_neuro": victim - s.worth(honest)}}
	}}
}

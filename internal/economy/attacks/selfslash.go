package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// selfSlash: a holder who is to lose its whole bond contradicts itself again and
// again and has an accomplice find it, who gets the reward of each slash.
func selfSlash() Attack {
	return Attack{"self-slash", "before its bond is taken a holder has an accomplice slash it; what it saves is the finder's reward", func() Outcome {
		s := newStage(cast{clients: 1, gates: 1, holders: 2})
		s.epochs(1)
		liar, accomplice := s.holders[0], s.holders[1]
		start := s.worth(liar, accomplice)
		const bond = 10_000
		for seq := range uint64(40) {
			s.do(accomplice, &ledger.Equivocation{Results: []ledger.Result{s.result(liar, s.gates[0], seq, 1), s.result(liar, s.gates[0], seq, 2)}})
		}
		kept := bond - (start - s.worth(liar, accomplice))
		reward := float64(s.p.SlashRewardBps) / ledger.BpsOne
		// Against the third strike, which takes everything.
		left := bond * pow(1-float64(s.p.EquivocationBps)/ledger.BpsOne, 40)
		return Outcome{Gain: kept - left, Bound: reward * bond, Numbers: map[string]float64{"of_bond_saved_pct": 100 * (kept - left) / bond}}
	}}
}

func pow(x float64, n int) float64 {
	y := 1.0
	for range n {
		y *= x
	}
	return y
}

package attacks

import (
	"math"
	"math/big"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// atLeast is the exact chance that of n drawn at least k belong to a share of
// the stake, as a float.
func atLeast(n, k int64, share *big.Rat) float64 {
	rest := new(big.Rat).Sub(big.NewRat(1, 1), share)
	sum := new(big.Rat)
	for i := k; i <= n; i++ {
		term := new(big.Rat).SetInt(new(big.Int).Binomial(n, i))
		for range i {
			term.Mul(term, share)
		}
		for range n - i {
			term.Mul(term, rest)
		}
		sum.Add(sum, term)
	}
	f, _ := sum.Float64()
	return f
}

// bribe: somebody who owns or bribes a share of the stake wants an honest holder
// convicted for the reward. It needs 5 of 7 and, since the holder appeals, 14 of
// 21 others.
func bribe() Attack {
	return Attack{"bribe", "a share of the stake convicts an honest holder; a second, larger jury is drawn anew", func() Outcome {
		p := ledger.DefaultParams()
		const bond = 10_000.0
		reward := bond * float64(p.StrikeBps1) / ledger.BpsOne * float64(p.SlashRewardBps) / ledger.BpsOne
		numbers := map[string]float64{}
		worst := math.Inf(-1)
		for _, c := range []struct {
			name  string
			share *big.Rat
		}{{"10", big.NewRat(1, 10)}, {"20", big.NewRat(1, 5)}, {"33", big.NewRat(1, 3)}} {
			jury := atLeast(int64(p.JurySize), int64(p.JuryQuorum), c.share)
			appeal := atLeast(int64(p.AppealSize), int64(p.AppealQuorum), c.share)
			numbers["jury_ppm_at_"+c.name+"_pct"] = 1e6 * jury
			numbers["appeal_ppm_at_"+c.name+"_pct"] = 1e6 * appeal
			// Who won the first and lost the appeal pays: five jurors 1 % of
			// their bonds, and the fees are gone.
			f, _ := c.share.Float64()
			lose := float64(p.JuryQuorum)*bond*float64(p.JurorAgainstBps)/ledger.BpsOne + neuro(ledger.Amount(p.JuryFee+p.AppealFee))
			gain := jury*(appeal*reward-(1-appeal)*lose) - (1-jury)*(neuro(ledger.Amount(p.JuryFee))+bond*float64(p.FalseCaseBps)/ledger.BpsOne)
			numbers["gain_neuro_at_"+c.name+"_pct"] = gain
			if f <= 1.0/3 {
				worst = math.Max(worst, gain)
			}
		}
		numbers["reward_neuro"] = reward
		return Outcome{Gain: worst, Bound: 0, Numbers: numbers}
	}}
}

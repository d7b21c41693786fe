package attacks

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// quorum: some of an expert's replicas belong to one person and give one wrong
// answer, so that asking two and comparing finds nothing. No decision rests on
// two that agree: an audit projects, and needs no second holder.
func quorum() Attack {
	return Attack{"quorum", "replicas agree on a wrong answer; audits need no second holder", func() Outcome {
		p := audit.Rate(1000) * lazyFound
		numbers := map[string]float64{"calls_until_found_mean": 1 / p, "escapes_an_epoch_pct": 100 * math.Pow(1-p, lazyCallsPerEpoch)}
		for name, share := range map[string]float64{"10": 0.1, "20": 0.2, "33": 1.0 / 3} {
			numbers["both_of_two_replicas_pct_at_"+name+"_pct"] = 100 * share * share
		}
		// Each of the two earns the most of an epoch before it is found, and each
		// loses a first strike.
		d := ledger.DefaultParams()
		const bond = 10_000 * ledger.Neuro
		earned := 2 * neuro(ledger.IncomeCap(bond, d))
		slashed := 2 * neuro(ledger.Bps(bond, d.StrikeBps1))
		return Outcome{Gain: earned - slashed, Bound: -earned, Numbers: numbers}
	}}
}

package attacks

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/routing/audit"
)

// Lazy holders cheat in every call from some call on, with audits at routing's
// own rate for a trusted peer.
const (
	lazyCallsPerEpoch = 20_000 // of a busy holder: some calls a second
	lazyFound         = 0.995  // of audits that find "5 % of the hidden units left out" in batches of 4 (bench tolerance)
)

// lazyHolder: a trusted holder begins to send noise, is found by an audit, tried
// and slashed. It earned the most that its bond may earn in an epoch.
func lazyHolder() Attack {
	return Attack{"lazy-holder", "a trusted holder saves itself the work; the first slash is more than an epoch may earn", func() Outcome {
		s := newStage(cast{clients: 1, gates: 2, holders: 30})
		s.epochs(1)
		liar, gate := s.holders[0], s.gates[0]
		start := s.worth(liar)
		r := s.result(liar, gate, 1, 1)
		k := s.trial(gate, &ledger.OpenCase{Results: []ledger.Result{r}, Input: ledger.Hash{1}, Output: ledger.Hash{1}}, r.Call(),
			ledger.Ruling{Output: ledger.Hash{3}, Error: 500_000})
		slashed := start - s.worth(liar)
		if k.First.Finding != ledger.Guilty {
			slashed = 0
		}
		p := audit.Rate(1000) * lazyFound
		calls := 1 / p
		earned := neuro(ledger.IncomeCap(10_000*ledger.Neuro, s.p)) // an epoch's most
		return Outcome{Gain: earned - slashed, Bound: -earned, Numbers: map[string]float64{
			"calls_until_found_mean": calls, "escapes_an_epoch_pct": 100 * math.Pow(1-p, lazyCallsPerEpoch),
			"earned_most_neuro": earned, "slashed_neuro": slashed,
		}}
	}}
}

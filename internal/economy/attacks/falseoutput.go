package attacks

import (
	"math"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// falseOutput: a gate answers with another, smaller model than it claims. A
// hundredth of its answers is looked at again, by another gate, and a jury of gates
// finds it out.
func falseOutput() Attack {
	return Attack{"false-output", "a gate answers with a smaller model; one answer in a hundred is computed again", func() Outcome {
		const sampled, answersPerEpoch = 0.01, 1000
		s := newStage(cast{clients: 1, gates: 30, holders: 1})
		s.epochs(1)
		liar, finder := s.gates[0], s.gates[1]
		start := s.worth(liar)
		chunk := ledger.Chunk{Gate: liar.key, Client: s.clients[0].key, Model: s.model, Epoch: s.epoch(), Tokens: ledger.Hash{1}}.Sign(chain, liar.private)
		open := &ledger.OpenCase{Chunks: []ledger.Chunk{chunk}, Input: ledger.Hash{1}, Output: ledger.Hash{1}}
		k := s.trial(finder, open, chunk.Place(), ledger.Ruling{Output: ledger.Hash{3}, Error: 900_000})
		slashed := start - s.worth(liar)
		if k.First.Finding != ledger.Guilty || k.Kind != ledger.CaseOutput {
			check(errNotGuilty)
		}
		for _, j := range k.First.Jurors {
			if p, err := s.view().Provider(s.ctx(), j.Peer); err != nil || !p.Gates(s.model) {
				check(errNotGuilty)
			}
		}
		earned := neuro(ledger.IncomeCap(10_000*ledger.Neuro, s.p)) // an epoch's most
		return Outcome{Gain: earned - slashed, Bound: -earned, Numbers: map[string]float64{
			"answers_until_found_mean": 1 / sampled, "escapes_an_epoch_pct": 100 * math.Pow(1-sampled, answersPerEpoch),
			"earned_most_neuro": earned, "slashed_neuro": slashed, "worth_after_neuro": s.worth(liar), "pot_of_cases_neuro": neuro(s.ledger.Money(state.Account{Pot: state.PotCase})),
		}}
	}}
}

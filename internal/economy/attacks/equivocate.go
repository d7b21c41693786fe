package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// equivocate: a gate signs two answers for one place of a session, a holder two
// results of one call.
func equivocate() Attack {
	return Attack{"equivocate", "a gate or holder signs two things that cannot both be true; both together are the proof", func() Outcome {
		s := newStage(cast{gates: 2, holders: 2, change: func(p *ledger.Params) { p.UnbondEpochs = 24 }})
		s.epochs(1)
		gate, holder, finder := s.gates[0], s.holders[0], s.holders[1]
		chunk := func(tokens byte) ledger.Chunk {
			return ledger.Chunk{Gate: gate.key, Model: s.model, Epoch: s.epoch(), Tokens: ledger.Hash{tokens}}.Sign(chain, gate.private)
		}
		lost := func(p person, m ledger.Msg) float64 {
			before := s.worth(p)
			s.do(finder, m)
			if s.try(finder, m) { // again
				return 0
			}
			return before - s.worth(p)
		}
		found := s.worth(finder)
		g := lost(gate, &ledger.Equivocation{Chunks: []ledger.Chunk{chunk(1), chunk(2)}})
		h := lost(holder, &ledger.Equivocation{Results: []ledger.Result{s.result(holder, gate, 1, 1), s.result(holder, gate, 1, 2)}})
		s.epochs(int(s.p.UnbondEpochs) + 1)
		return Outcome{Gain: -min(g, h), Bound: -1000, Numbers: map[string]float64{
			"gate_lost_neuro": g, "holder_lost_neuro": h, "finder_got_neuro": s.worth(finder) - found,
		}}
	}}
}

package attacks

import (
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// copyJuror: a juror copies another's commitment, and later its ruling and salt,
// to have the fee without the work.
func copyJuror() Attack {
	return Attack{"copy-juror", "a juror copies another's commitment; it binds the key of who made it", func() Outcome {
		s := newStage(cast{clients: 1, gates: 2, holders: 30})
		s.epochs(1)
		liar, gate := s.holders[0], s.gates[0]
		r := s.result(liar, gate, 1, 1)
		s.do(gate, &ledger.OpenCase{Results: []ledger.Result{r}, Input: ledger.Hash{1}, Output: ledger.Hash{1}})
		call := r.Call()
		id := state.CaseID(ledger.Sum([]byte("deed"), call[:]), s.ledger.Clock().Height)
		s.blocks(2)
		jurors := s.caseOf(id).First.Jurors
		ruling, salt := ledger.Ruling{Output: ledger.Hash{3}, Error: 500_000}, ledger.Hash{9}
		copyist := s.find(jurors[0].Peer)
		before := s.worth(copyist)
		for i, j := range jurors {
			from := j.Peer
			if i == 0 {
				from = jurors[1].Peer // what it saw on the chain
			}
			s.do(s.find(j.Peer), &ledger.CommitVerdict{Case: id, Commit: ruling.Commitment(id, false, from, salt)})
		}
		s.blocks(int(s.p.CommitBlocks))
		accepted := 0.0
		for i, j := range jurors {
			ok := s.try(s.find(j.Peer), &ledger.RevealVerdict{Case: id, Ruling: ruling, Salt: salt})
			if i == 0 && ok {
				accepted = 1
			}
		}
		s.blocks(int(s.p.RevealBlocks + s.p.AppealBlocks))
		return Outcome{Gain: s.worth(copyist) - before, Bound: -1, Numbers: map[string]float64{"copies_accepted": accepted}}
	}}
}

package attacks

import (
	"context"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// tallies: gates with less than half of the bonds give a friend the best
// reputation and a rival the worst.
func tallies() Attack {
	return Attack{"tallies", "two of five gates lie about reputations; the median by bond does not move", func() Outcome {
		s := newStage(cast{clients: 1, gates: 5, holders: 2})
		s.epochs(2)
		friend, rival := s.holders[0], s.holders[1]
		epoch := s.epoch()
		s.epochs(1)
		const honest = 6000
		for i, g := range s.gates {
			a, b := uint16(honest), uint16(honest)
			if i < 2 {
				a, b = ledger.BpsOne, 0
			}
			s.do(g, ledger.TallyPages(s.model, epoch, []ledger.TallyRow{{Peer: friend.key, Score: a}, {Peer: rival.key, Score: b}})[0])
		}
		s.epochs(1)
		rep := func(p person) float64 {
			v, err := s.view().Provider(context.Background(), p.key)
			check(err)
			return float64(v.Rep)
		}
		// A reputation that is higher than earned would let the friend have more
		// of an emission, at most what its bond may earn.
		most := neuro(ledger.IncomeCap(10_000*ledger.Neuro, s.p))
		return Outcome{Gain: (rep(friend) - honest) / honest * most, Bound: 0, Numbers: map[string]float64{
			"friend_reputation_bps": rep(friend), "rival_reputation_bps": rep(rival), "honest_bps": honest,
		}}
	}}
}

package attacks

import "github.com/moeswarm/moeswarm/internal/ledger"

// washFriend: a gate with a friend also has a client of its own, which buys
// tokens at the least price of the model while others pay more. They would
// make room for as many units of the friend as dear ones, if money did not have to
// buy the room at the price of the gate's seat.
func washFriend() Attack {
	return Attack{"wash-friend", "the gate's own client buys cheap tokens to make room for a friend's units; room costs what the gate's tariff says", func() Outcome {
		const owed, perRow, gross = 8 * ledger.Neuro, 128, 400 * ledger.Neuro
		// dear is how many times the floor the honest client pays, times how many
		// tokens the gate's own one buys for each of the other's, and says how many
		// times the floor the gate's tariff is.
		play := func(dear, times, says uint64) float64 {
			s := newStage(cast{clients: 2, gates: 1, holders: 2, unitsPerRow: perRow})
			c, own, holder, friend := s.clients[0], s.clients[1], s.holders[0], s.holders[1]
			gate := s.gates[0]
			s.tariffs = []ledger.Tariff{{Model: s.model, Price: ledger.Amount(says * tokenPrice)}}
			for _, p := range s.clients {
				s.do(p, &ledger.Deposit{Model: s.model, Amount: gross})
			}
			s.epochs(1)
			epoch := s.epoch()
			tokens := uint64(owed) / tokenPrice / dear
			v := ledger.Voucher{Client: c.key, Gate: gate.key, Model: s.model, Epoch: epoch, Tokens: tokens, Cum: owed}.Sign(chain, c.private)
			w := s.voucher(own, gate, epoch, 1, ledger.Amount(tokens*times*tokenPrice))
			s.epochs(1)
			start := s.worth(gate, friend, own)
			done := tokens * perRow
			room := tokens + tokens*times/says
			most := max(done, room*perRow*s.p.UnitSlackBps/ledger.BpsOne)
			leaves := []ledger.Leaf{{Holder: holder.key, Units: done}, {Holder: friend.key, Units: most - done}}
			s.do(gate, s.closing(gate, epoch, leaves, v, w))
			return s.worth(gate, friend, own) - start - neuro(ledger.SplitGross(owed, s.p).Gate)
		}
		pool := neuro(ledger.SplitGross(owed, ledger.DefaultParams()).Pool)
		n := map[string]float64{"pool_neuro": pool}
		at := func(dear, says uint64) (most float64) {
			for times := range uint64(12) {
				most = max(most, play(dear, times, says))
			}
			return most
		}
		n["gain_at_the_floor_neuro"], n["gain_at_2_floors_neuro"], n["gain_at_5_floors_neuro"] = at(1, 1), at(2, 2), at(5, 5)
		n["gain_if_clients_let_it_say_the_floor_neuro"] = at(5, 1)
		slack := float64(ledger.DefaultParams().UnitSlackBps) / ledger.BpsOne
		return Outcome{Gain: max(n["gain_at_the_floor_neuro"], n["gain_at_2_floors_neuro"], n["gain_at_5_floors_neuro"]), Bound: pool * (slack - 1) / slack, Numbers: n}
	}}
}

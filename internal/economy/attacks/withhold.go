package attacks

import (
	"encoding/binary"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// committee is a thousand candidates of equal weight, of whom the first share
// belong to one person, and the default seats.
func seatsOf(seed ledger.Hash, share int) int {
	var all []ledger.Candidate
	mine := map[ledger.Key]bool{}
	for i := range 1000 {
		k := ledger.Key(ledger.Sum([]byte("candidate"), binary.BigEndian.AppendUint64(nil, uint64(i))))
		mine[k] = i < share*10
		all = append(all, ledger.Candidate{Peer: k, Weight: 1000})
	}
	n := 0
	for _, s := range ledger.Elect(seed, 1, ledger.Hash{7}, nil, all, ledger.DefaultParams()) {
		if mine[s.Peer] {
			n++
		}
	}
	return n
}

// withhold: who proposes the last block before the seed looks at the committee
// that its block would give, and withholds the block when the other is better.
func withhold() Attack {
	return Attack{"withhold", "the proposer before the seed withholds its block for a better committee; one choice of two", func() Outcome {
		const rounds, share = 300, 20
		plain, chosen := 0, 0
		for i := range rounds {
			seed := func(b byte) ledger.Hash {
				return ledger.Sum([]byte("withhold"), binary.BigEndian.AppendUint64(nil, uint64(i)), []byte{b})
			}
			a, b := seatsOf(seed(0), share), seatsOf(seed(1), share)
			plain += a
			chosen += max(a, b)
		}
		seats := float64(ledger.DefaultParams().Seats)
		before, after := float64(plain)/rounds, float64(chosen)/rounds
		// In money: an extra seat's part of what gates earn in an epoch at the
		// target of emission, for the term of a seat, when it is the proposer's
		// turn, which is a fifth of the time.
		p := ledger.DefaultParams()
		gates := neuro(ledger.Bps(ledger.Amount(p.EmissionTarget), p.GateBps))
		gain := (after - before) / seats * gates * share / 100
		return Outcome{Gain: gain, Bound: 0.1 * gates * share / 100, Numbers: map[string]float64{
			"seats_by_share": before, "seats_by_choice_of_two": after, "seats": seats,
		}}
	}}
}

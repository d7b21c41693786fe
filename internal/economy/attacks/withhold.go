package attacks

import (
	"encoding/binary"
	"fmt"
	"math/bits"

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

// withhold: who proposes the last blocks before the seed looks at the committees
// that they would give, and withholds some of them when another is better. Each
// block of a row at the end is one choice more.
func withhold() Attack {
	return Attack{"withhold", "the proposer before the seed withholds its block for a better committee; one bit for each block at the end that is its own", func() Outcome {
		const rounds, share, row = 100, 20, 3
		var best [row + 1]float64 // seats, with the choice of 2^i committees
		for i := range rounds {
			most := 0
			for c := range 1 << row {
				seed := ledger.Sum([]byte("withhold"), binary.BigEndian.AppendUint64(nil, uint64(i)), []byte{byte(c)})
				most = max(most, seatsOf(seed, share))
				if bits := bits.Len(uint(c + 1)); c+1 == 1<<(bits-1) {
					best[bits-1] += float64(most) / rounds
				}
			}
		}
		p := ledger.DefaultParams()
		seats := float64(p.Seats)
		numbers := map[string]float64{"seats": seats, "seats_by_share": best[0]}
		// In money: an extra seat's part of what gates earn in an epoch at the
		// target of emission. So many blocks at the end are its own, and no more,
		// with the chances of its share of the stake.
		gates := neuro(ledger.Bps(ledger.Amount(p.EmissionTarget), p.GateBps))
		gain, chance := 0.0, 1.0
		for own := 1; own <= row; own++ {
			chance *= share / 100.0
			exactly := chance * (1 - share/100.0)
			if own == row {
				exactly = chance
			}
			gain += exactly * (best[own] - best[0]) / seats * gates
			numbers[fmt.Sprintf("seats_by_choice_of_%d", 1<<own)] = best[own]
			numbers[fmt.Sprintf("chance_of_%d_in_a_row_pct", own)] = 100 * chance
		}
		return Outcome{Gain: gain, Bound: 0.1 * gates * share / 100, Numbers: numbers}
	}}
}

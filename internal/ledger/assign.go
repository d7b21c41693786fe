package ledger

import (
	"bytes"
	"slices"
)

// AssignedGates is how many gates a client has in an epoch.
const AssignedGates = 3

// Assigned returns the gates of a client, best first: the committee in the
// order of H(seed | client | gate), the first three of it.
func Assigned(seed Hash, client Key, committee []Seat) []Key {
	type ranked struct {
		at   Hash
		gate Key
	}
	all := make([]ranked, len(committee))
	for i, s := range committee {
		all[i] = ranked{Sum([]byte("assign"), seed[:], client[:], s.Peer[:]), s.Peer}
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.at[:], b.at[:]) })
	gates := make([]Key, min(len(all), AssignedGates))
	for i := range gates {
		gates[i] = all[i].gate
	}
	return gates
}

// GateShare is the part of a client's budget that the gate at this rank of n
// assigned ones may claim: 1/2, 1/4, 1/4; of two 1/2 each; of one all.
func GateShare(budget Amount, rank, n int) Amount {
	switch {
	case rank < 0 || rank >= n:
		return 0
	case n == 1:
		return budget
	case n == 2 || rank == 0:
		return budget / 2
	}
	return budget / 4
}

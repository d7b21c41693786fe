package ledger

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"
)

// Candidate is who may be drawn, and with what weight.
type Candidate struct {
	Peer   Key
	Weight uint64
}

// Weigh is the weight of a bond in draws: at most limit, times reputation (in
// basis points, and at least one of them).
func Weigh(bond, limit Amount, repBps uint16) uint64 {
	return MulDiv(uint64(min(bond, limit)), uint64(max(repBps, 1)), BpsOne)
}

// Draw takes n of the candidates by weight, without replacement, in the order
// drawn: for draw i, r = SHA-512-wide number of (seed, what, i) mod the
// weights that are left, and the candidate whose stretch holds r, in the order
// of keys. Candidates of weight 0 are not drawn; if there are no more than n of
// weight, all are.
func Draw(seed Hash, what string, candidates []Candidate, n int) []Candidate {
	left := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return c.Weight == 0 })
	slices.SortFunc(left, func(a, b Candidate) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	total := new(big.Int)
	for _, c := range left {
		total.Add(total, new(big.Int).SetUint64(c.Weight))
	}
	var drawn []Candidate
	for i := 0; i < n && len(left) > 0; i++ {
		r := wide(seed, what, uint64(i))
		r.Mod(r, total)
		at := 0
		for w := new(big.Int); ; at++ {
			w.SetUint64(left[at].Weight)
			if r.Cmp(w) < 0 {
				total.Sub(total, w)
				break
			}
			r.Sub(r, w)
		}
		drawn = append(drawn, left[at])
		left = slices.Delete(left, at, at+1)
	}
	return drawn
}

// wide is a number of 512 bits, so that what modulo it is taken does not bias
// a draw.
func wide(seed Hash, what string, i uint64) *big.Int {
	name := Sum([]byte(what))
	half := func(b byte) []byte {
		h := Sum([]byte("draw"), seed[:], name[:], binary.BigEndian.AppendUint64(nil, i), []byte{b})
		return h[:]
	}
	return new(big.Int).SetBytes(append(half(0), half(1)...))
}

// Elect is the committee of an epoch: sitting members whose term goes on and
// who still are candidates keep their seats, the rest is drawn. Terms are
// staggered: no more than a TermEpochs-th of the seats (rounded up) ends in any
// one epoch, a vacant seat is filled for the rest of its term. Seats come in
// the order of their keys.
func Elect(seed Hash, epoch uint64, model Hash, sitting []Seat, candidates []Candidate, p Params) []Seat {
	able := make(map[Key]uint64, len(candidates))
	for _, c := range candidates {
		able[c.Peer] = c.Weight
	}
	var seats []Seat
	ends := map[uint64]uint64{} // seats that end in an epoch
	for _, s := range sitting {
		if w := able[s.Peer]; w > 0 && s.Until >= epoch && s.Until < epoch+p.TermEpochs && uint64(len(seats)) < p.Seats {
			seats = append(seats, Seat{Peer: s.Peer, Weight: w, Until: s.Until})
			ends[s.Until]++
			able[s.Peer] = 0
		}
	}
	var free []Candidate
	for _, c := range candidates {
		free = append(free, Candidate{c.Peer, able[c.Peer]})
	}
	class := (p.Seats + p.TermEpochs - 1) / p.TermEpochs
	for _, c := range Draw(seed, "gating/"+string(model[:]), free, int(p.Seats)-len(seats)) {
		until := epoch + p.TermEpochs - 1
		for until > epoch && ends[until] >= class {
			until--
		}
		ends[until]++
		seats = append(seats, Seat{Peer: c.Peer, Weight: c.Weight, Until: until})
	}
	slices.SortFunc(seats, func(a, b Seat) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	return seats
}

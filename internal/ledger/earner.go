package ledger

import (
	"cmp"
	"math/bits"
	"slices"
)

// Earner is who may have a part of an epoch's emission.
type Earner struct {
	Work uint64 // audited, weighed by reputation
	Bond Amount
	Many uint64 // so many of them, all alike
}

// EmissionWeights are by what emission is divided among earners: by their work, but
// no more than bps of what their bond stands for. That is what the bonds of others
// do: half of all bonds that work have at least so much work for their size. So a
// bond that is split over many keys, for all of which one machine answers, counts
// no more than whole, and who has less than half of the bonds does not move the
// bound. Who has more can have it as low as he likes, and emission goes by bond
// then.
func EmissionWeights(all []Earner, bps uint64) []uint64 {
	weights := make([]uint64, len(all))
	var most uint64
	for _, e := range all {
		most = max(most, e.Work)
	}
	// Weights of little work shall not round to nothing.
	shift := max(0, bits.LeadingZeros64(most)-spareBits)
	bound, ok := boundOf(all)
	for i, e := range all {
		if ok {
			limit := MulDiv(MulDiv(uint64(e.Bond), bound.Work<<shift, uint64(bound.Bond)), bps, BpsOne)
			weights[i] = min(e.Work<<shift, limit)
		}
	}
	return weights
}

// spareBits keep sums of weights from overflowing: of 2^24 earners.
const spareBits = 24

// boundOf is the one down to whom, by work for its bond, half of the bonds are.
func boundOf(all []Earner) (Earner, bool) {
	able := slices.DeleteFunc(slices.Clone(all), func(e Earner) bool { return e.Work == 0 || e.Bond == 0 || e.Many == 0 })
	slices.SortFunc(able, func(a, b Earner) int { return -compareRatios(a, b) })
	var total, sum uint64 // there are never more coins than fit
	for _, e := range able {
		total += uint64(e.Bond) * e.Many
	}
	for _, e := range able {
		if sum += uint64(e.Bond) * e.Many; sum >= total-total/2 {
			return e, true
		}
	}
	return Earner{}, false
}

// compareRatios compares work per bond, exactly.
func compareRatios(a, b Earner) int {
	hi1, lo1 := bits.Mul64(a.Work, uint64(b.Bond))
	hi2, lo2 := bits.Mul64(b.Work, uint64(a.Bond))
	return cmp.Or(cmp.Compare(hi1, hi2), cmp.Compare(lo1, lo2))
}

package ledger

import (
	"crypto/sha256"
	"math/bits"
	"slices"
)

// Sum is the hash that the ledger uses.
func Sum(b ...[]byte) Hash {
	h := sha256.New()
	for _, p := range b {
		h.Write(p)
	}
	return Hash(h.Sum(nil))
}

// BpsOne is all of something, in basis points.
const BpsOne = 10_000

// MulDiv is floor(a·b/c) with a product of 128 bits. What does not fit in 64
// is 2^64-1; c is not 0.
func MulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// Bps is floor(x·bps/10000).
func Bps(x Amount, bps uint64) Amount { return Amount(MulDiv(uint64(x), bps, BpsOne)) }

// Split is how a gross payment falls apart: Burn + Treasury + Gate + Pool is the
// gross, to the unit.
type Split struct{ Burn, Treasury, Gate, Pool Amount }

// SplitGross takes the fee off a payment, burns its part of the fee, and gives
// the gate its part of the rest. The pool is the holders'.
func SplitGross(gross Amount, p Params) Split {
	fee := Bps(gross, p.FeeBps)
	s := Split{Burn: Bps(fee, p.BurnBps)}
	s.Treasury = fee - s.Burn
	net := gross - fee
	s.Gate = Bps(net, p.GateBps)
	s.Pool = net - s.Gate
	return s
}

// Share is a holder's part of a pool: floor(pool·units/total), or 0 if there
// were no units at all.
func Share(pool Amount, units, total uint64) Amount {
	if total == 0 || units > total {
		return 0
	}
	return Amount(MulDiv(uint64(pool), units, total))
}

// Scheduled is the emission of epoch k before anything holds it back: the
// first epoch's S0 is halved after every H epochs, in a straight line between.
func Scheduled(k uint64, p Params) Amount {
	n := k / p.HalvingEpochs
	if n >= 64 {
		return 0
	}
	return Amount(MulDiv(p.EmissionStart>>n, 2*p.HalvingEpochs-k%p.HalvingEpochs, 2*p.HalvingEpochs))
}

// Emission is what epoch k mints: the schedule, but only what providers' net
// revenue lacks to the target, and never past the cap of supply.
func Emission(k uint64, revenue, supply Amount, p Params) Amount {
	target, most := Amount(p.EmissionTarget), Amount(p.SupplyCap)
	return min(Scheduled(k, p), target-min(revenue, target), most-min(supply, most))
}

// RevenueEpochs is over how many epochs the median of revenue is taken, so that
// one epoch of washed payments moves nothing.
const RevenueEpochs = 9

// Median is the lower median of amounts, 0 of none. It sorts a copy.
func Median(all []Amount) Amount {
	if len(all) == 0 {
		return 0
	}
	s := slices.Clone(all)
	slices.Sort(s)
	return s[(len(s)-1)/2]
}

// IncomeCap is the most that a bond may earn in an epoch, so that the first
// slash costs more than cheating earned until it was found.
func IncomeCap(bond Amount, p Params) Amount { return bond / Amount(p.IncomeDiv) }

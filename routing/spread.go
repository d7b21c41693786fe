package routing

import (
	"math"
	"time"
)

// spread is how far attempts at a peer stray from what was expected of them: a
// histogram of took ÷ expected. Being of ratios, its quantiles hold at any
// size. It forgets by samples, and after long silences by time.
type spread struct {
	p50, p95 float64
	gain     float64 // weight of the next sample; grows, so that the older weigh less
	total    float64
	answered int     // samples taken in, at most spreadKnown
	variance float64 // moving mean of squared distances from 1, those past p95 counted as p95
	mass     [spreadBuckets]float32
}

const (
	// Buckets of equal ratio, eight per doubling, from a quarter to 64 times:
	// 9 % wide each, with 1 in the middle of one.
	spreadPerDoubling = 8
	spreadLeast       = -2 // log2
	spreadBuckets     = 8 * spreadPerDoubling
	// spreadMemory is the number of samples that count: 5 % of fewer would be
	// no more than two, and one slow answer would move p95.
	spreadMemory = 64
	// spreadKnown is the number of samples from which on a spread is taken
	// for the peer's own: until then the prior still has a fifth of the mass.
	spreadKnown = 16
	// The prior weighs as much as four samples, of which a tenth took twice as
	// long as expected: a p95 of 2 until something is known.
	spreadPrior      = 4
	spreadPriorTail  = 0.1
	spreadPriorRatio = 2
	// Its deviation is such that one frame less is worth 5 % of the time of
	// peers that nobody knows yet, see growth. At most a deviation of a half
	// is believed: such a peer's expectation is wrong, rather than its time
	// uncertain.
	spreadPriorDeviation = 0.07
	spreadMostDeviation  = 0.5
	// spreadHalfLife is how fast a spread ages while nothing is measured. At
	// least an eighth of it stays, so that one sample is never all there is.
	spreadHalfLife = 5 * time.Minute
	spreadAges     = 1. / 8
)

func newSpread() spread {
	s := spread{gain: 1, total: spreadPrior, variance: spreadPriorDeviation * spreadPriorDeviation}
	s.mass[ratioBucket(1)] = spreadPrior * (1 - spreadPriorTail)
	s.mass[ratioBucket(spreadPriorRatio)] = spreadPrior * spreadPriorTail
	s.quantiles()
	return s
}

// observe takes in a ratio after a silence of idle.
func (s *spread) observe(ratio float64, idle time.Duration) {
	s.gain /= 1 - 1./spreadMemory
	s.gain /= max(spreadAges, math.Exp2(-max(idle, 0).Seconds()/spreadHalfLife.Seconds()))
	if s.gain > 1e9 { // before float32 runs out of digits
		for i := range s.mass {
			s.mass[i] /= float32(s.gain)
		}
		s.total /= s.gain
		s.gain = 1
	}
	s.mass[ratioBucket(ratio)] += float32(s.gain)
	s.total += s.gain
	s.answered = min(s.answered+1, spreadKnown)
	s.quantiles()
	// Rare late ones are the tail's, and hedges deal with them.
	strayed := min(max(ratio, 0), max(s.p95, 1)) - 1
	s.variance += (strayed*strayed - s.variance) / (spreadPrior + float64(s.answered))
}

// deviation is the standard deviation of the ratio, without its tail: what the
// maximum over several peers depends on.
func (s *spread) deviation() float64 { return min(math.Sqrt(s.variance), spreadMostDeviation) }

// known says whether the quantiles are the peer's own rather than the prior's.
func (s *spread) known() bool { return s.answered >= spreadKnown }

// quantiles brings p50 and p95 up to date, so that plans need not count.
func (s *spread) quantiles() {
	s.p50 = s.quantile(0.50)
	s.p95 = max(s.quantile(0.95), 1)
}

func (s *spread) quantile(q float64) float64 {
	rank := q * s.total
	for i, m := range s.mass {
		if rank < float64(m) {
			return bucketRatio(float64(i) + rank/float64(m))
		}
		rank -= float64(m)
	}
	return bucketRatio(spreadBuckets)
}

func ratioBucket(ratio float64) int {
	if !(ratio > 0) {
		return 0
	}
	at := (math.Log2(ratio)-spreadLeast)*spreadPerDoubling + 0.5
	return int(min(max(at, 0), spreadBuckets-1))
}

// bucketRatio is the ratio at a place on the scale of buckets.
func bucketRatio(at float64) float64 {
	return math.Exp2((at-0.5)/spreadPerDoubling + spreadLeast)
}

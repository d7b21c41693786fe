package routing

import (
	"math"
	"time"
)

// Reputation is what a peer's conduct over days says about it, while an
// [Estimate] is about seconds. Its methods are pure functions of it and their
// arguments; the zero value is not ready, see [NewReputation].
//
// The score is S = C² · P · √T · U, each part in [0, 1]:
//
//	C  correctness: checks passed and failed, as a Beta(1+Good, 1+Bad)
//	   distribution of which C is the lower bound, mean − 1.645 × deviation. Each
//	   check multiplies what was before with 0.999, a failure counts five times.
//	   Below one half the score is 0: a peer starts there, unproven.
//	P  punctuality: moving share of attempts answered in time, 1/16 each
//	T  speed: moving mean of reference time ÷ compute time, at most 1, 1/8 each
//	U  uptime: share of the last hours in which it was there when it was asked
//
// Correctness is squared because a fast wrong answer is worth nothing; speed
// goes in by its root because a plan reckons with it already.
type Reputation struct {
	Good, Bad float64 // of checks, without the prior
	Punctual  float64
	Speed     float64
	Uptime    float64
	Seen      time.Time // when the last of this was learned
	Excluded  string    // why the peer is asked nothing any more; empty: it is
}

const (
	checkMemory    = 0.999
	failedCheck    = 5     // passes that it takes to make up for one failure
	boundDeviation = 1.645 // the lower 5 % of a normal distribution
	provenAt       = 0.5   // least correctness of a score above 0

	punctualWeight = 1. / 16
	speedWeight    = 1. / 8
	// uptimeMemory is the time constant of uptime. A gap between two
	// sightings counts for uptimeGap at most: nobody looked in between.
	uptimeMemory = 2 * time.Hour
	uptimeGap    = 10 * time.Second
	// conductHalfLife is how fast all of it returns to the prior while the
	// peer is not seen: its disk, its line and its owner may have changed.
	conductHalfLife = 30 * 24 * time.Hour

	// leastTrust is what an unproven peer's speed is worth beside a proven
	// one's: it is asked if it is twice as fast, or if nobody else holds the
	// expert.
	leastTrust = 0.5
)

// NewReputation is the prior: nothing proven, nothing held against it.
func NewReputation() Reputation { return Reputation{Punctual: 1, Speed: 1, Uptime: 1} }

// at is the reputation with the time since it was last seen faded in.
func (r Reputation) at(now time.Time) Reputation {
	keep := 1.
	if !r.Seen.IsZero() {
		keep = math.Exp2(-max(now.Sub(r.Seen), 0).Seconds() / conductHalfLife.Seconds())
	}
	r.Good *= keep
	r.Bad *= keep
	r.Punctual = 1 - keep*(1-r.Punctual)
	r.Speed = 1 - keep*(1-r.Speed)
	r.Uptime = 1 - keep*(1-r.Uptime)
	r.Seen = now
	return r
}

// Checked takes in the result of a check.
func (r Reputation) Checked(ok bool, now time.Time) Reputation {
	r = r.at(now)
	r.Good *= checkMemory
	r.Bad *= checkMemory
	if ok {
		r.Good++
	} else {
		r.Bad += failedCheck
	}
	return r
}

// Answered takes in an attempt: whether it was in time, and its compute time
// beside that of the reference, 0 if the peer did not say.
func (r Reputation) Answered(inTime bool, compute, reference time.Duration, now time.Time) Reputation {
	r = r.Met(inTime, now)
	r.Punctual += (bit(inTime) - r.Punctual) * punctualWeight
	if compute > 0 && reference > 0 {
		r.Speed += (min(1, reference.Seconds()/compute.Seconds()) - r.Speed) * speedWeight
	}
	return r
}

// Met takes in whether the peer was there when it was asked or probed.
func (r Reputation) Met(there bool, now time.Time) Reputation {
	gap := uptimeGap
	if !r.Seen.IsZero() {
		gap = min(max(now.Sub(r.Seen), 0), uptimeGap)
	}
	r = r.at(now)
	r.Uptime += (bit(there) - r.Uptime) * (1 - math.Exp(-gap.Seconds()/uptimeMemory.Seconds()))
	return r
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Correctness is the share of right answers that the peer gives at least, as
// far as the checks tell.
func (r Reputation) Correctness() float64 {
	a, b := 1+r.Good, 1+r.Bad
	n := a + b
	return max(0, a/n-boundDeviation*math.Sqrt(a*b/(n*n*(n+1))))
}

// Score is S, in [0, 1].
func (r Reputation) Score() float64 {
	c := r.Correctness()
	if c < provenAt || r.Excluded != "" {
		return 0
	}
	return min(1, c*c*r.Punctual*math.Sqrt(r.Speed)*r.Uptime)
}

// handicap is what a plan multiplies the peer's expected time with.
func (r Reputation) handicap() float64 { return 1 / (leastTrust + (1-leastTrust)*r.Score()) }

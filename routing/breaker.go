package routing

import "time"

// Breaker is the state of the circuit breaker that each peer has.
//
// Closed is the normal state. A single failure leaves it closed: the peer is
// avoided, that is, asked only for what no other peer can answer, until an
// attempt or a probe succeeds. Failing again, breakerTrips times in a row, or
// sending what no honest peer sends, opens it: the peer is asked nothing for a
// time that doubles with each further failure. Then it is half-open: one
// attempt, or a probe, is let through as a trial. If that succeeds the breaker
// closes, if it fails it opens for longer.
//
// Refusals for overload do not touch the breaker; the peer is merely left
// alone for as long as it asks.
type Breaker int

// The states of a breaker.
const (
	Closed Breaker = iota
	HalfOpen
	Open
)

func (b Breaker) String() string { return [...]string{"closed", "half-open", "open"}[b] }

// breakerTrips is the number of failures in a row that open a breaker. One
// lost frame among many good ones is the network's daily business: with one
// call in a hundred failing, two replicas would keep each other shut out.
const breakerTrips = 2

// Breaker is the state of the peer's breaker.
func (e *Estimate) Breaker(now time.Time) Breaker {
	switch {
	case e.shunUntil.After(now):
		return Open
	case e.failures < breakerTrips:
		return Closed
	case e.Resting(now) > 0:
		return Open
	}
	return HalfOpen
}

// askable says whether the peer may be asked at all now.
func (e *Estimate) askable(now time.Time) bool {
	switch {
	case e.failures == 0 && e.restUntil.IsZero(): // the usual, first
		return !e.excluded
	case e.excluded, e.shunUntil.After(now):
		return false
	case e.failures >= breakerTrips: // half-open lets one ask through
		return e.flying.Calls == 0 && e.Resting(now) == 0
	case e.failures > 0: // merely avoided
		return true
	}
	return e.Resting(now) == 0
}

// avoidance is what is added, in seconds, to the time of a peer that is better
// not asked.
func (e *Estimate) avoidance(now time.Time) float64 {
	switch {
	case e.failures == 0:
		return 0
	case e.Resting(now) > 0:
		return 2 * suspectPenalty.Seconds()
	}
	return suspectPenalty.Seconds()
}

// opened is 1 if a breaker opened between two states.
func opened(before, after Breaker) int {
	if before != Open && after == Open {
		return 1
	}
	return 0
}

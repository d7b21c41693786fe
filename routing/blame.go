package routing

import (
	"errors"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

// Failure is a kind of failed attempt, by whom it is blamed on.
type Failure int

// The kinds of failure.
const (
	Cancelled   Failure = iota // we gave up; nobody's fault
	Overloaded                 // it refused at once; no blame
	UnknownHere                // it does not hold the expert (any more)
	Unreachable                // no connection, or it was lost
	Straggled                  // no answer within the deadline
	BadResult                  // an answer that no honest peer sends
	BadCall                    // it says that our call is wrong
	failureKinds
)

func (f Failure) String() string {
	return [failureKinds]string{"cancelled", "overloaded", "unknown expert", "unreachable", "straggler", "bad result", "bad call"}[f]
}

// blame tells the kind of a failed attempt: over says that the whole round was,
// stopped why the attempt was told to stop, nil if it was not.
func blame(over bool, stopped, err error) Failure {
	switch {
	case over, stopped == errOutrun:
		return Cancelled
	case errors.Is(err, expert.ErrBadResult):
		return BadResult
	case errors.Is(err, expert.ErrBadCall):
		return BadCall
	case errors.Is(err, expert.ErrOverloaded):
		return Overloaded
	case errors.Is(err, expert.ErrUnknownExpert), errors.Is(err, expert.ErrNoHolder):
		return UnknownHere
	case errors.Is(err, expert.ErrStraggler), stopped != nil:
		return Straggled
	}
	return Unreachable // also whatever a Caller did not wrap
}

// retryAfter is the peer's own word on when to come back; 0 if it said none.
func retryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return r.RetryAfter()
	}
	return 0
}

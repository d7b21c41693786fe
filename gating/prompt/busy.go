package prompt

import (
	"fmt"
	"time"
)

// BusyError is an [ErrBusy] that says how long it would be worth waiting.
type BusyError struct {
	Wait   time.Duration // expected, until the answer would have begun
	Detail string        // what there is too much of
}

func (e *BusyError) Error() string {
	wait := max(e.Wait.Round(time.Second), time.Second)
	return fmt.Sprintf("%v: %s; an answer would begin in about %v; try again then, or at another node", ErrBusy, e.Detail, wait)
}

func (e *BusyError) Unwrap() error { return ErrBusy }

// RetryAfter is Wait.
func (e *BusyError) RetryAfter() time.Duration { return e.Wait }

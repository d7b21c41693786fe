package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// Code is an error's number in a [Refusal] or a [PromptEnd]. The numbers are
// part of the format.
type Code uint8

const (
	CodeOK            Code = 0
	CodeBadCall       Code = 1
	CodeUnknownExpert Code = 2
	CodeOverloaded    Code = 3
	CodeUnreachable   Code = 4
	CodeBadResult     Code = 5
	CodeStraggler     Code = 6
	CodeNoHolder      Code = 7

	CodeBadRequest     Code = 32
	CodeUnknownModel   Code = 33
	CodeBusy           Code = 34
	CodeLost           Code = 35
	CodeNoGate         Code = 36
	CodeMissingExperts Code = 37
	CodeUnpaid         Code = 38
	CodeNotMember      Code = 39

	CodeInternal Code = 255 // anything else
)

// ExpertCode is the code for a failed call.
func ExpertCode(err error) Code {
	for c := CodeBadCall; c <= CodeNoHolder; c++ {
		if errors.Is(err, expertError(c)) {
			return c
		}
	}
	return CodeInternal
}

// expertError is the error that a code stands for, by the holder's own word.
func expertError(c Code) error {
	switch c {
	case CodeBadCall:
		return expert.ErrBadCall
	case CodeUnknownExpert:
		return expert.ErrUnknownExpert
	case CodeOverloaded:
		return expert.ErrOverloaded
	case CodeUnreachable:
		return expert.ErrUnreachable
	case CodeBadResult:
		return expert.ErrBadResult
	case CodeStraggler:
		return expert.ErrStraggler
	case CodeNoHolder:
		return expert.ErrNoHolder
	}
	return nil
}

// Err is the error that a refusal means to the asker. A code that is not
// known, or that makes no sense from a holder, counts as overload: ask
// another, no blame. Whether a holder that calls a call bad is to be believed
// is for the router to find out, by asking another. The error is a [*Refused].
func (r Refusal) Err() error {
	var err error
	switch r.Code {
	case CodeBadCall:
		err = expert.ErrBadCall
	case CodeBadResult:
		err = expert.ErrBadResult
	case CodeUnknownExpert:
		err = expert.ErrUnknownExpert
	case CodeUnreachable:
		err = expert.ErrUnreachable
	default:
		err = expert.ErrOverloaded
	}
	return &Refused{Refusal: r, blame: err}
}

// Refused is a refusal as an error. It wraps an error of package expert.
type Refused struct {
	Refusal
	blame error
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%v: refused with code %d: %q", r.blame, r.Code, r.Detail)
}

func (r *Refused) Unwrap() error { return r.blame }

// RetryAfter is how long the holder asks to be left alone.
func (r *Refused) RetryAfter() time.Duration { return r.Wait }

// UnknownExpert is the index of the expert that the holder says it does not
// hold; ok is false when it named none.
func (r *Refused) UnknownExpert() (index uint16, ok bool) {
	return r.Expert, r.Code == CodeUnknownExpert && r.Expert != NoExpert
}

// PromptCode is the code for a failed prompt. Errors of expert calls come
// under the prompt's own: a missing holder is a missing expert, and whatever
// else stopped the work is a reason to try another gating node.
func PromptCode(err error) Code {
	for c := CodeBadRequest; c <= CodeNotMember; c++ {
		if errors.Is(err, promptError(c)) {
			return c
		}
	}
	if errors.Is(err, expert.ErrNoHolder) {
		return CodeMissingExperts
	}
	return CodeInternal
}

func promptError(c Code) error {
	switch c {
	case CodeBadRequest:
		return prompt.ErrBadRequest
	case CodeUnknownModel:
		return prompt.ErrUnknownModel
	case CodeBusy:
		return prompt.ErrBusy
	case CodeLost:
		return prompt.ErrLost
	case CodeNoGate:
		return prompt.ErrNoGate
	case CodeMissingExperts:
		return prompt.ErrMissingExperts
	case CodeUnpaid:
		return prompt.ErrUnpaid
	case CodeNotMember:
		return prompt.ErrNotMember
	}
	return nil
}

// Err is the error that a prompt's end means to the asker, nil for a good
// one. A code that is not known counts as a lost gating node: replay.
func (e PromptEnd) Err() error {
	if e.Code == CodeOK {
		return nil
	}
	err := promptError(e.Code)
	if err == nil {
		err = prompt.ErrLost
	}
	if e.Code == CodeBusy {
		return &prompt.BusyError{Wait: e.Wait, Detail: e.Detail}
	}
	return fmt.Errorf("%w: ended with code %d: %q", err, e.Code, e.Detail)
}

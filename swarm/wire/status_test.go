package wire

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
)

// TestRefusalBlames: what a holder says and what the asker makes of it.
func TestRefusalBlames(t *testing.T) {
	for _, row := range []struct {
		at   error // at the holder
		code Code
		want error // at the asker
	}{
		{expert.ErrBadCall, 1, expert.ErrBadCall},
		{expert.ErrUnknownExpert, 2, expert.ErrUnknownExpert},
		{expert.ErrOverloaded, 3, expert.ErrOverloaded},
		{expert.ErrUnreachable, 4, expert.ErrUnreachable},
		{expert.ErrBadResult, 5, expert.ErrBadResult},
		{expert.ErrStraggler, 6, expert.ErrOverloaded},
		{expert.ErrNoHolder, 7, expert.ErrOverloaded},
		{errors.New("a disk broke"), 255, expert.ErrOverloaded},
	} {
		code := ExpertCode(fmt.Errorf("layer 3: %w", row.at))
		if err := (Refusal{Code: code}).Err(); code != row.code || !errors.Is(err, row.want) {
			t.Errorf("%v: code %d, %v", row.at, code, err)
		}
	}
}

func TestPromptEndMeans(t *testing.T) {
	for _, row := range []struct {
		at   error
		code Code
		want error
	}{
		{prompt.ErrBadRequest, 32, prompt.ErrBadRequest},
		{prompt.ErrUnknownModel, 33, prompt.ErrUnknownModel},
		{prompt.ErrBusy, 34, prompt.ErrBusy},
		{prompt.ErrLost, 35, prompt.ErrLost},
		{prompt.ErrNoGate, 36, prompt.ErrNoGate},
		{prompt.ErrMissingExperts, 37, prompt.ErrMissingExperts},
		{expert.ErrNoHolder, 37, prompt.ErrMissingExperts},
		{errors.New("a disk broke"), 255, prompt.ErrLost},
	} {
		code := PromptCode(fmt.Errorf("step 3: %w", row.at))
		if err := (PromptEnd{Code: code}).Err(); code != row.code || !errors.Is(err, row.want) {
			t.Errorf("%v: code %d, %v", row.at, code, err)
		}
	}
	var after interface{ RetryAfter() time.Duration }
	if err := (Refusal{Code: CodeOverloaded, Wait: time.Second}).Err(); !errors.As(err, &after) || after.RetryAfter() != time.Second {
		t.Errorf("%v does not say when to ask again", err)
	}
	if err := (PromptEnd{}).Err(); err != nil {
		t.Errorf("a good end: %v", err)
	}
}

// TestUnknownCodesAreSafe: every code has a meaning that blames nobody wrongly.
func TestUnknownCodesAreSafe(t *testing.T) {
	for c := range 256 {
		if (Refusal{Code: Code(c)}).Err() == nil {
			t.Errorf("refusal with code %d is no error", c)
		}
		if err := (PromptEnd{Code: Code(c)}).Err(); (err == nil) != (c == 0) {
			t.Errorf("prompt end with code %d: %v", c, err)
		}
	}
}

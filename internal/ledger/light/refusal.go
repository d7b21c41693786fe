package light

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Codespace of the refusals of the ledger's own module.
const Codespace = "neuro"

// refusals are the errors of the state machine that have a code: their place
// here and 2. Codes are part of what nodes agree on, so the order stays.
func refusals() []error {
	return []error{
		ledger.ErrMalformed, ledger.ErrSignature, ledger.ErrFunds, ledger.ErrUnknown, ledger.ErrTooEarly,
		ledger.ErrTooLate, ledger.ErrUnauthorized, ledger.ErrCap, ledger.ErrDuplicate,
	}
}

// Code is the code of an error of the state machine; 1 of one without its own.
func Code(err error) uint32 {
	for i, known := range refusals() {
		if errors.Is(err, known) {
			return uint32(i) + 2
		}
	}
	return 1
}

// refusal is the error that a code and a text stand for.
func refusal(codespace string, code uint32, text string) error {
	text = strings.TrimSpace(text)
	if i := int(code) - 2; codespace == Codespace && i >= 0 && i < len(refusals()) {
		return fmt.Errorf("%w: the ledger refused it: %s", refusals()[i], text)
	}
	if codespace == "sdk" && code == 5 {
		return fmt.Errorf("%w: the ledger refused it: %s", ledger.ErrFunds, text)
	}
	return fmt.Errorf("the ledger refused it: %s (%s %d)", text, codespace, code)
}

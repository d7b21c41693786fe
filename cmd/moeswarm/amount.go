package main

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// amount is a flag or operand: money in NEURO, such as 1.5, or in nneuro, such
// as 2500nneuro.
type amount ledger.Amount

func (a *amount) String() string {
	if a == nil || *a == 0 {
		return ""
	}
	return ledger.Amount(*a).String()
}

// Set implements flag.Value.
func (a *amount) Set(s string) error {
	n, err := parseAmount(s)
	if err != nil {
		return err
	}
	*a = amount(n)
	return nil
}

// parseAmount reads an amount exactly: no more than nine digits behind the
// point, no more than there will ever be.
func parseAmount(s string) (ledger.Amount, error) {
	bad := fmt.Errorf("%.40q is no amount: want NEURO such as 1.5, or nneuro such as 2500nneuro", s)
	if digits, ok := strings.CutSuffix(s, "nneuro"); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		if err != nil || ledger.Amount(n) > ledger.MaxSupply {
			return 0, bad
		}
		return ledger.Amount(n), nil
	}
	s = strings.TrimSpace(strings.TrimSuffix(s, "NEURO"))
	whole, part, point := strings.Cut(s, ".")
	if len(part) > 9 || point && part == "" {
		return 0, bad
	}
	w, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, bad
	}
	p := uint64(0)
	if part != "" {
		if p, err = strconv.ParseUint(part+strings.Repeat("0", 9-len(part)), 10, 63); err != nil {
			return 0, bad
		}
	}
	hi, lo := bits.Mul64(w, uint64(ledger.Neuro))
	if hi != 0 || lo+p > uint64(ledger.MaxSupply) || lo+p < lo {
		return 0, bad
	}
	return ledger.Amount(lo + p), nil
}

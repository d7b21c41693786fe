package teller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Teller prices NEURO and accepts proofs of deposit.
type Teller interface {
	// Quote is the price of NEURO in a currency.
	Quote(ctx context.Context, currency string) (Quote, error)
	// Accept looks at a proof and says what it is worth. The same proof again
	// gives ErrUsed; whoever asked and did not hear the answer asks the
	// operator. An error that wraps ErrRefused is final.
	Accept(ctx context.Context, p Proof) (Credit, error)
}

// Errors that callers tell apart.
var (
	ErrRefused = errors.New("the deposit is not accepted")
	ErrUsed    = errors.New("the deposit was accepted before")
	ErrPrice   = errors.New("no price now")
)

// Limits of what a teller reads.
const (
	MaxID       = 128       // bytes of a deposit's name
	MaxEvidence = 64 << 10  // bytes of evidence
	maxFile     = 8 << 20   // of prices or deposits
	maxAnswer   = 128 << 10 // of a webhook's answer
	// Million is one unit of an outside currency.
	Million = 1_000_000
)

// Quote is a price: millionths of a currency's unit for one NEURO.
type Quote struct {
	Currency  string `json:"currency"` // as ISO 4217: three capital letters
	PerNeuro  uint64 `json:"millionths_per_neuro"`
	UntilUnix int64  `json:"until_unix"` // seconds; after that it is no price
}

// Proof is what somebody shows who paid.
type Proof struct {
	ID       string     `json:"id"`       // of the deposit, as the outside world names it
	Account  ledger.Key `json:"-"`        // who is to have the NEURO
	Currency string     `json:"currency"` // of Paid
	Paid     uint64     `json:"paid_millionths"`
	Evidence []byte     `json:"evidence,omitempty"` // whatever the teller's other side wants to see
}

// Credit is what a proof is worth.
type Credit struct {
	Amount ledger.Amount
	Quote  Quote // at which it was reckoned
}

func checkCurrency(c string) error {
	if len(c) != 3 {
		return fmt.Errorf("%w: currency %.20q: want three capital letters", ledger.ErrMalformed, c)
	}
	for _, r := range c {
		if r < 'A' || r > 'Z' {
			return fmt.Errorf("%w: currency %.20q: want three capital letters", ledger.ErrMalformed, c)
		}
	}
	return nil
}

// Check refuses a proof that no teller could accept.
func (p Proof) Check() error {
	switch {
	case len(p.ID) == 0 || len(p.ID) > MaxID:
		return fmt.Errorf("%w: a deposit's name of %d bytes: want 1 to %d", ledger.ErrMalformed, len(p.ID), MaxID)
	case len(p.Evidence) > MaxEvidence:
		return fmt.Errorf("%w: evidence of %d bytes, at most %d", ledger.ErrMalformed, len(p.Evidence), MaxEvidence)
	case p.Paid == 0:
		return fmt.Errorf("%w: a deposit of nothing", ledger.ErrMalformed)
	}
	for _, r := range p.ID {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("%w: a deposit's name with %q in it", ledger.ErrMalformed, r)
		}
	}
	return checkCurrency(p.Currency)
}

// check says whether the quote is one, for a currency and now.
func (q Quote) check(currency string, now time.Time) error {
	switch {
	case q.Currency != currency:
		return fmt.Errorf("%w: asked for %s, the answer is in %.20q", ErrPrice, currency, q.Currency)
	case q.PerNeuro == 0:
		return fmt.Errorf("%w: a price of nothing", ErrPrice)
	case now.Unix() > q.UntilUnix:
		return fmt.Errorf("%w: the price of %s ended %v ago", ErrPrice, currency, now.Sub(time.Unix(q.UntilUnix, 0)).Round(time.Second))
	}
	return nil
}

// Worth is how much NEURO an amount buys: floor(paid·10^9/price), at most what
// there may ever be.
func (q Quote) Worth(paid uint64) ledger.Amount {
	return min(ledger.Amount(ledger.MulDiv(paid, uint64(ledger.Neuro), max(q.PerNeuro, 1))), ledger.MaxSupply)
}

// decode reads one JSON value that has no field we do not know and nothing
// after it.
func decode(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %v", ledger.ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON value", ledger.ErrMalformed)
	}
	return nil
}

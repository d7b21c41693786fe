package teller

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of a directory of [Files]. The operator writes the first two, the
// teller appends to the third.
const (
	PricesFile   = "prices.json"   // [{"currency": "EUR", "millionths_per_neuro": 120000, "until_unix": 1800000000}]
	DepositsFile = "deposits.json" // [{"id": "…", "account": "hex", "currency": "EUR", "paid_millionths": 25000000}]
	UsedFile     = "used.log"      // a deposit's id a line
)

// deposit is a line of the operator's list.
type deposit struct {
	ID       string `json:"id"`
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Paid     uint64 `json:"paid_millionths"`
}

// Files is a teller over files of a directory. It reads them at each question,
// so the operator replaces them (write another, rename it) at any time.
type Files struct {
	dir string
	now func() time.Time

	mu   sync.Mutex
	used map[string]bool
}

// NewFiles opens a directory. Only one process may use it at a time.
func NewFiles(dir string, now func() time.Time) (*Files, error) {
	f := &Files{dir: dir, now: now, used: map[string]bool{}}
	log, err := os.Open(filepath.Join(dir, UsedFile))
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("teller: %w", err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		f.used[lines.Text()] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("teller: read %s: %w", UsedFile, err)
	}
	return f, nil
}

func (f *Files) read(name string, to any) error {
	file, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return fmt.Errorf("teller: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("teller: read %s: %w", name, err)
	case len(data) > maxFile:
		return fmt.Errorf("teller: %s has more than %d bytes", name, maxFile)
	}
	if err := decode(data, to); err != nil {
		return fmt.Errorf("teller: %s: %w", name, err)
	}
	return nil
}

// Quote implements [Teller].
func (f *Files) Quote(_ context.Context, currency string) (Quote, error) {
	if err := checkCurrency(currency); err != nil {
		return Quote{}, err
	}
	var all []Quote
	if err := f.read(PricesFile, &all); err != nil {
		return Quote{}, err
	}
	for _, q := range all {
		if q.Currency == currency {
			return q, q.check(currency, f.now())
		}
	}
	return Quote{}, fmt.Errorf("%w: %s has none in %s", ErrPrice, PricesFile, currency)
}

// Accept implements [Teller]: the deposit must be on the operator's list, as the
// proof says. That it is used up is on disk before the answer.
func (f *Files) Accept(ctx context.Context, p Proof) (Credit, error) {
	if err := p.Check(); err != nil {
		return Credit{}, err
	}
	var all []deposit
	if err := f.read(DepositsFile, &all); err != nil {
		return Credit{}, err
	}
	if err := listed(all, p); err != nil {
		return Credit{}, err
	}
	q, err := f.Quote(ctx, p.Currency)
	if err != nil {
		return Credit{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used[p.ID] {
		return Credit{}, fmt.Errorf("%w: %s", ErrUsed, p.ID)
	}
	if err := f.use(p.ID); err != nil {
		return Credit{}, err
	}
	return Credit{Amount: q.Worth(p.Paid), Quote: q}, nil
}

func listed(all []deposit, p Proof) error {
	for _, d := range all {
		if d.ID != p.ID {
			continue
		}
		if d.Account != p.Account.String() || d.Currency != p.Currency || d.Paid != p.Paid {
			return fmt.Errorf("%w: deposit %s is another's, or of another amount", ErrRefused, p.ID)
		}
		return nil
	}
	return fmt.Errorf("%w: %s is not in %s (yet)", ErrRefused, p.ID, DepositsFile)
}

// use marks a deposit as used, on disk.
func (f *Files) use(id string) error {
	log, err := os.OpenFile(filepath.Join(f.dir, UsedFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("teller: %w", err)
	}
	// The first newline ends a line that a crash cut off.
	_, err = log.WriteString("\n" + id + "\n")
	if err = errors.Join(err, log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("teller: mark deposit %s as used: %w", id, err)
	}
	f.used[id] = true
	return nil
}

var _ Teller = (*Files)(nil)

package pay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Chain is what till and stub need of the ledger.
type Chain interface {
	ledger.Reader
	ledger.Submitter
}

// TillConfig is what a till is made of.
type TillConfig struct {
	Path   string // of its file
	Chain  string
	Key    ed25519.PrivateKey
	Ledger Chain
	// Every is the least time between two receipts for a holder; 0: 100 ms.
	Every time.Duration
	Now   func() time.Time // nil: time.Now
}

// Till takes vouchers and settles; it is a [ledger.Till].
type Till struct {
	cfg  TillConfig
	gate ledger.Key
	book book

	mu       sync.Mutex
	vouchers map[slip]ledger.Voucher   // the highest of each session
	totals   map[account]ledger.Amount // of a client's vouchers
	credits  map[credit]*work          // of holders
	shares   map[account]ledger.Amount // of clients' budgets, as the ledger says
	seats    map[seat]bool             // whether this gate sits
	dirty    map[slip]bool             // vouchers not on disk
	sessions map[account]int           // how many vouchers a client has
	ended    map[period]bool           // takes nothing any more; settled or being so
}

// period is a model's epoch.
type period struct {
	epoch uint64
	model ledger.Hash
}

type seat = period

type account struct {
	period
	client ledger.Key
}

type slip struct {
	account
	session ledger.Session
}

type credit struct {
	period
	holder ledger.Key
}

// work is what a holder did in an epoch.
type work struct {
	units, passed uint64
	ceiling       uint64    // units on disk; never less than in a receipt
	told          time.Time // last receipt
}

const (
	voucherTable = "voucher"
	creditTable  = "credit"
	endedTable   = "ended"
	// maxSessions bounds a client's sessions in an epoch: each is a voucher to
	// settle.
	maxSessions = 4096
	// receiptEvery is the usual least time between two receipts for a holder.
	receiptEvery = 100 * time.Millisecond
)

// NewTill opens a till.
func NewTill(cfg TillConfig) (*Till, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize || cfg.Ledger == nil {
		return nil, errors.New("a till needs the gate's key and a ledger")
	}
	if cfg.Every == 0 {
		cfg.Every = receiptEvery
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b, err := openBook(cfg.Path, voucherTable, creditTable, endedTable)
	if err != nil {
		return nil, err
	}
	t := &Till{
		cfg: cfg, gate: ledger.KeyOf(cfg.Key), book: b,
		vouchers: map[slip]ledger.Voucher{}, totals: map[account]ledger.Amount{}, credits: map[credit]*work{},
		shares: map[account]ledger.Amount{}, seats: map[seat]bool{}, dirty: map[slip]bool{},
		sessions: map[account]int{}, ended: map[period]bool{},
	}
	if err := t.load(); err != nil {
		b.db.Close()
		return nil, fmt.Errorf("%s: %w", cfg.Path, err)
	}
	return t, nil
}

// Run writes vouchers every second until the context ends.
func (t *Till) Run(ctx context.Context) error { return runFlush(ctx, t.flush) }

// Close writes what is left and closes the file.
func (t *Till) Close() error { return errors.Join(t.flush(), t.book.db.Close()) }

func slipOf(v ledger.Voucher) slip {
	return slip{account{period{v.Epoch, v.Model}, v.Client}, v.Session}
}

// Accept takes a voucher and says how much of it is new. Old ones add nothing.
// An error wraps [ledger.ErrCap] when the client's budget does not cover it,
// ErrSignature, ErrUnauthorized when this is not the client's gate, ErrTooLate.
func (t *Till) Accept(ctx context.Context, v ledger.Voucher) (ledger.Amount, error) {
	at := slipOf(v)
	if v.Gate != t.gate {
		return 0, fmt.Errorf("%w: a voucher for gate %v", ledger.ErrUnauthorized, v.Gate)
	}
	t.mu.Lock()
	old := t.vouchers[at]
	closed := t.ended[at.period]
	t.mu.Unlock()
	switch {
	case closed:
		return 0, fmt.Errorf("%w: epoch %d is settled", ledger.ErrTooLate, v.Epoch)
	case v.Cum <= old.Cum:
		return 0, nil
	}
	if err := ledger.Verify(t.cfg.Chain, v); err != nil {
		return 0, err
	}
	share, err := t.share(ctx, at.account)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old = t.vouchers[at]
	switch {
	case t.ended[at.period]:
		return 0, fmt.Errorf("%w: epoch %d is settled", ledger.ErrTooLate, v.Epoch)
	case v.Cum <= old.Cum:
		return 0, nil
	case old.Cum == 0 && t.sessions[at.account] >= maxSessions:
		return 0, fmt.Errorf("%w: %d sessions in epoch %d", ledger.ErrCap, maxSessions, v.Epoch)
	}
	fresh := v.Cum - old.Cum
	if total := t.totals[at.account]; fresh > share-min(share, total) {
		return 0, fmt.Errorf("%w: %v promised of the %v that this gate may have of the client in epoch %d, and %v more are due; the next epoch has a budget of its own, a larger one after a deposit", ledger.ErrCap, total, share, v.Epoch, fresh)
	}
	if old.Cum == 0 {
		t.sessions[at.account]++
	}
	t.vouchers[at] = v
	t.totals[at.account] += fresh
	t.dirty[at] = true
	return fresh, nil
}

// share is how much of a client's budget of an epoch is this gate's. Only the
// current epoch and the one before are open for new promises.
func (t *Till) share(ctx context.Context, a account) (ledger.Amount, error) {
	now, err := t.cfg.Ledger.Clock(ctx)
	if err != nil {
		return 0, err
	}
	if a.epoch > now.Epoch || now.Epoch-a.epoch > 1 {
		return 0, fmt.Errorf("%w: a voucher for epoch %d in epoch %d", ledger.ErrTooLate, a.epoch, now.Epoch)
	}
	t.mu.Lock()
	share, known := t.shares[a]
	t.mu.Unlock()
	if known {
		return share, nil
	}
	seats, err := t.cfg.Ledger.Committee(ctx, a.epoch, a.model)
	if err != nil {
		return 0, err
	}
	seed, err := t.cfg.Ledger.Seed(ctx, a.epoch)
	if err != nil {
		return 0, err
	}
	e, err := t.cfg.Ledger.Escrow(ctx, a.client, a.model)
	if err != nil {
		return 0, err
	}
	gates := ledger.Assigned(seed, a.client, seats)
	rank := -1
	for i, g := range gates {
		if g == t.gate {
			rank = i
		}
	}
	if rank < 0 {
		return 0, fmt.Errorf("%w: this gate is not the client's in epoch %d", ledger.ErrUnauthorized, a.epoch)
	}
	budget, _, open := e.BudgetOf(a.epoch)
	if !open {
		return 0, fmt.Errorf("%w: epoch %d", ledger.ErrTooLate, a.epoch)
	}
	share = ledger.GateShare(budget, rank, len(gates))
	if share > 0 { // strangers without escrow take no memory
		t.mu.Lock()
		t.shares[a] = share
		t.mu.Unlock()
	}
	return share, nil
}

// flush writes the vouchers that are not on disk yet.
func (t *Till) flush() error {
	t.mu.Lock()
	var all []entry
	for at := range t.dirty {
		v := t.vouchers[at]
		all = append(all, entry{voucherTable, voucherKey(at), ledger.Encode(&v)})
	}
	was := t.dirty
	t.dirty = map[slip]bool{}
	t.mu.Unlock()
	err := t.book.write(all...)
	if err != nil {
		t.mu.Lock()
		for at := range was {
			t.dirty[at] = true
		}
		t.mu.Unlock()
	}
	return err
}

// Owed is what clients promised this gate for an epoch and model.
func (t *Till) Owed(epoch uint64, model ledger.Hash) ledger.Amount {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum ledger.Amount
	for a, n := range t.totals {
		if a.period == (period{epoch, model}) {
			sum += n
		}
	}
	return sum
}

package toll

import (
	"fmt"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// DebtsConfig is how a holder watches what it is owed.
type DebtsConfig struct {
	Self ledger.Key
	Stub ledger.Stub
	// Backed reports whether a bond stands behind a gating node's receipts.
	Backed func(gate ledger.Key) bool
	Now    func() time.Time
}

const (
	// debtFor is how long work may wait for its receipt: some of the intervals
	// in which receipts come, and round trips of a poor line.
	debtFor = 20 * ReceiptEvery
	// debtRows is how many rows may, however long: what a swarm without a ledger
	// and a newcomer ask for to look around.
	debtRows = 4096
	// debtShare is which part of all rows served may stay without a receipt:
	// a gating node does not count what came too late for it.
	debtShare = 4
	// maxDebtors bounds the peers that are remembered; past it those that owe
	// least are forgotten.
	maxDebtors = 4096
)

// Debts is what gating nodes owe a holder.
type Debts struct {
	cfg DebtsConfig

	mu      sync.Mutex
	debtors map[ledger.Key]*debtor
}

// debtor is one gating node's account. Rows are units.
type debtor struct {
	served, acknowledged uint64
	since                time.Time // when it came to owe too much; zero: it does not
	last                 map[receiptKey]uint64
}

type receiptKey struct {
	epoch uint64
	model ledger.Hash
}

// maxReceiptKeys bounds the epochs and models of one debtor's receipts.
const maxReceiptKeys = 64

// NewDebts makes the account.
func NewDebts(cfg DebtsConfig) *Debts {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Debts{cfg: cfg, debtors: map[ledger.Key]*debtor{}}
}

// Admit refuses calls of a peer that owes more than it may. The error wraps
// expert.ErrOverloaded: others are asked, and nobody is blamed.
func (d *Debts) Admit(from ledger.Key) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.debtors[from]
	if x == nil || x.since.IsZero() || d.cfg.Now().Sub(x.since) < debtFor {
		return nil
	}
	return fmt.Errorf("%w: %d rows are without a receipt of a bonded gating node", expert.ErrOverloaded, x.owed())
}

func (x *debtor) owed() uint64 { return x.served - min(x.served, x.acknowledged) }

// count notes when the debt becomes too much, and when it no longer is.
func (x *debtor) count(now time.Time) {
	switch owed := x.owed(); {
	case owed <= debtRows || owed <= x.served/debtShare:
		x.since = time.Time{}
	case x.since.IsZero():
		x.since = now
	}
}

// Served counts rows of an answer to a peer.
func (d *Debts) Served(from ledger.Key, rows int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.debtorLocked(from)
	x.served += uint64(rows)
	x.count(d.cfg.Now())
}

func (d *Debts) debtorLocked(k ledger.Key) *debtor {
	x := d.debtors[k]
	if x == nil {
		if len(d.debtors) >= maxDebtors {
			for k, x := range d.debtors {
				if x.served <= x.acknowledged+debtRows {
					delete(d.debtors, k)
				}
			}
		}
		x = &debtor{last: map[receiptKey]uint64{}}
		d.debtors[k] = x
	}
	return x
}

// Receipt keeps a peer's receipt. An error says that it is none, or not the
// peer's.
func (d *Debts) Receipt(from ledger.Key, statement []byte) error {
	var r ledger.Receipt
	if err := ledger.Decode(statement, &r); err != nil {
		return err
	}
	if r.Gate != from || r.Holder != d.cfg.Self {
		return fmt.Errorf("%w: a receipt of or for somebody else", ledger.ErrMalformed)
	}
	if err := d.cfg.Stub.Keep(r); err != nil {
		return err
	}
	if !d.cfg.Backed(from) {
		return nil // kept, and worth nothing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	x, k := d.debtorLocked(from), receiptKey{r.Epoch, r.Model}
	if len(x.last) >= maxReceiptKeys {
		for old := range x.last {
			if old.epoch+2 < r.Epoch {
				delete(x.last, old)
			}
		}
	}
	if had := x.last[k]; r.Units > had && (had > 0 || len(x.last) < maxReceiptKeys) {
		x.acknowledged += r.Units - had
		x.last[k] = r.Units
		x.count(d.cfg.Now())
	}
	return nil
}

// Owed is what a peer owes, in rows.
func (d *Debts) Owed(from ledger.Key) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.debtors[from]
	if x == nil {
		return 0
	}
	return x.owed()
}

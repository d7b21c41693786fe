package toll

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// ReceiptEvery is the shortest pause between two receipts to one holder.
const ReceiptEvery = 100 * time.Millisecond

// Crediter is what a till does for holders.
type Crediter interface {
	Credit(epoch uint64, holder ledger.Key, model ledger.Hash, units, passed uint64) (*ledger.Receipt, error)
}

// CreditsConfig is how a gating node acknowledges work.
type CreditsConfig struct {
	Till Crediter
	// Period is the epoch for which this node's work for a model counts now.
	Period func(model ledger.Hash) uint64
	// Send gives a holder its receipt, and reports whether it went out.
	Send func(holder ledger.Key, receipt []byte) bool
	// Every is the pause between two receipts to a holder; 0: [ReceiptEvery].
	Every time.Duration
	Log   *slog.Logger
}

// Credits counts what holders did for a gating node and sends them receipts.
type Credits struct {
	cfg CreditsConfig

	mu   sync.Mutex
	work map[creditKey]amount // not yet in a receipt

	flushing sync.Mutex         // before mu
	unsent   map[creditKey]bool // receipts that were not due yet, or found no stream; guarded by flushing
}

// amount is units of work and audits of them that passed.
type amount struct{ units, passed uint64 }

type creditKey struct {
	epoch  uint64
	holder ledger.Key
	model  ledger.Hash
}

// NewCredits makes the account.
func NewCredits(cfg CreditsConfig) *Credits {
	if cfg.Every <= 0 {
		cfg.Every = ReceiptEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Credits{cfg: cfg, work: map[creditKey]amount{}, unsent: map[creditKey]bool{}}
}

// Add counts units of a holder's work: rows through experts.
func (c *Credits) Add(holder ledger.Key, model ledger.Hash, units int) {
	if units <= 0 {
		return
	}
	c.add(holder, model, amount{units: uint64(units)})
}

// Passed counts an audit of a holder's work that found it right.
func (c *Credits) Passed(holder ledger.Key, model ledger.Hash) {
	c.add(holder, model, amount{passed: 1})
}

func (c *Credits) add(holder ledger.Key, model ledger.Hash, n amount) {
	k := creditKey{c.cfg.Period(model), holder, model}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.work[k]
	c.work[k] = amount{w.units + n.units, w.passed + n.passed}
}

// Run sends receipts until ctx ends, and the last ones then.
func (c *Credits) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Every)
	defer tick.Stop()
	for {
		c.Flush()
		select {
		case <-ctx.Done():
			c.Flush()
			return nil
		case <-tick.C:
		}
	}
}

// Flush has the till know of all work, and sends receipts as far as they are
// due; before an epoch is settled.
func (c *Credits) Flush() {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	work := c.work
	c.work = make(map[creditKey]amount, len(work))
	c.mu.Unlock()
	for k := range c.unsent {
		if _, ok := work[k]; !ok {
			work[k] = amount{}
		}
	}
	clear(c.unsent)
	for k, n := range work {
		r, err := c.cfg.Till.Credit(k.epoch, k.holder, k.model, n.units, n.passed)
		if err != nil {
			c.cfg.Log.Warn("a receipt could not be made", "holder", k.holder, "err", err)
			continue
		}
		if r == nil || !c.cfg.Send(k.holder, ledger.Encode(r)) {
			if r == nil || n != (amount{}) { // a holder that is gone is told when it comes back
				c.unsent[k] = true
			}
		}
	}
}

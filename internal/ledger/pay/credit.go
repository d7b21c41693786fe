package pay

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// reserveUnits is the least step in which a holder's units are promised to the
// disk; larger totals grow by an eighth.
const reserveUnits = 1 << 14

// Seated looks at the ledger: for which epoch this gate's work for a model
// counts now. It is the current one, or the one before for a gate that only
// finishes what runs; without a seat in either the error wraps
// ErrUnauthorized.
func (t *Till) Seated(ctx context.Context, model ledger.Hash) (uint64, error) {
	now, err := t.cfg.Ledger.Clock(ctx)
	if err != nil {
		return 0, err
	}
	for _, epoch := range []uint64{now.Epoch, now.Epoch - min(now.Epoch, 1)} {
		sits, err := t.sits(ctx, seat{epoch, model})
		if err != nil || sits {
			return epoch, err
		}
	}
	return 0, fmt.Errorf("%w: this gate has no seat for model %v in epoch %d or the one before", ledger.ErrUnauthorized, model, now.Epoch)
}

func (t *Till) sits(ctx context.Context, s seat) (bool, error) {
	t.mu.Lock()
	sits, known := t.seats[s]
	t.mu.Unlock()
	if known {
		return sits, nil
	}
	seats, err := t.cfg.Ledger.Committee(ctx, s.epoch, s.model)
	if err != nil {
		return false, err
	}
	for _, m := range seats {
		sits = sits || m.Peer == t.gate
	}
	t.mu.Lock()
	t.seats[s] = sits
	t.mu.Unlock()
	return sits, nil
}

// Credit adds work of a holder in an epoch (see Seated), and returns a receipt
// for the whole of the epoch if the last one is long enough ago, nil otherwise.
func (t *Till) Credit(epoch uint64, holder ledger.Key, model ledger.Hash, units, passed uint64) (*ledger.Receipt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := credit{period{epoch, model}, holder}
	if t.ended[at.period] {
		return nil, fmt.Errorf("%w: epoch %d is settled", ledger.ErrTooLate, epoch)
	}
	w := t.credits[at]
	if w == nil {
		w = &work{}
		t.credits[at] = w
	}
	w.units += units
	w.passed += passed
	now := t.cfg.Now()
	if now.Sub(w.told) < t.cfg.Every {
		return nil, nil
	}
	w.told = now
	return t.receipt(at, w)
}

// Receipts returns a receipt for every holder that did more in an epoch than
// its last one said; before a gate settles, or when it leaves.
func (t *Till) Receipts(epoch uint64, model ledger.Hash) ([]ledger.Receipt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []ledger.Receipt
	for at, w := range t.credits {
		if at.period != (period{epoch, model}) {
			continue
		}
		r, err := t.receipt(at, w)
		if err != nil {
			return nil, err
		}
		all = append(all, *r)
	}
	return all, nil
}

// receipt signs what a holder did, after the disk knows no less.
func (t *Till) receipt(at credit, w *work) (*ledger.Receipt, error) {
	if w.units > w.ceiling {
		ceiling := w.units + max(w.units/8, reserveUnits)
		if err := t.book.write(t.creditEntry(at, ceiling, w.passed)); err != nil {
			return nil, err
		}
		w.ceiling = ceiling
	}
	r := ledger.Receipt{Gate: t.gate, Holder: at.holder, Model: at.model, Epoch: at.epoch, Units: w.units, Passed: w.passed}
	r = r.Sign(t.cfg.Chain, t.cfg.Key)
	return &r, nil
}

package pay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Settle brings an epoch that is over to the ledger: its vouchers in batches,
// then the tree of holders, and for more of those than ride along, their claims.
// It may be called again at any time, also after a crash in the middle: what is
// there already adds nothing. Sessions that finish in the epoch after count
// until it is called, so it is best called when that one is over too; two epochs
// after, nothing counts any more.
func (t *Till) Settle(ctx context.Context, epoch uint64) error {
	if err := t.flush(); err != nil {
		return err
	}
	var failed error
	for _, p := range t.periods(epoch) {
		if err := t.settle(ctx, p); err != nil {
			failed = errors.Join(failed, fmt.Errorf("settling epoch %d of model %v: %w", p.epoch, p.model, err))
		}
	}
	return failed
}

// Epochs lists the epochs that have something to settle.
func (t *Till) Epochs() []uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []uint64
	for a := range t.totals {
		all = append(all, a.epoch)
	}
	for c := range t.credits {
		all = append(all, c.epoch)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// periods are the models with something to settle in an epoch.
func (t *Till) periods(epoch uint64) []period {
	t.mu.Lock()
	defer t.mu.Unlock()
	has := map[period]bool{}
	for a := range t.totals {
		has[a.period] = true
	}
	for c := range t.credits {
		has[c.period] = true
	}
	var all []period
	for p := range has {
		if p.epoch == epoch {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b period) int { return bytes.Compare(a.model[:], b.model[:]) })
	return all
}

func (t *Till) settle(ctx context.Context, p period) error {
	now, err := t.cfg.Ledger.Clock(ctx)
	if err != nil {
		return err
	}
	if p.epoch >= now.Epoch {
		return fmt.Errorf("%w: it is not over", ledger.ErrTooEarly)
	}
	w, err := ledger.View{Getter: t.cfg.Ledger}.Work(ctx, p.epoch, p.model, t.gate)
	if err != nil {
		return err
	}
	leaves, err := t.end(p)
	if err != nil {
		return err
	}
	if !w.Closed {
		if now.Epoch-p.epoch > ledger.SettleEpochs {
			return t.forget(p) // nobody settled it in time: it is worth nothing
		}
		if err := t.close(ctx, p, leaves); err != nil {
			return err
		}
	}
	if len(leaves) > ledger.MaxLeaves {
		if err := t.claim(ctx, p, leaves); err != nil {
			return err
		}
	}
	return t.forget(p)
}

// end has a period take nothing any more and returns its holders, in the order
// of their keys. They are on disk before the ledger has their root, so that
// proofs can be made after a crash. A holder whose exact number an earlier crash
// forgot has what was promised to the disk.
func (t *Till) end(p period) ([]ledger.Leaf, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []ledger.Leaf
	entries := []entry{{endedTable, periodKey(p), []byte{1}}}
	for c, w := range t.credits {
		if c.period == p && w.units > 0 {
			all = append(all, ledger.Leaf{Holder: c.holder, Units: w.units, Passed: w.passed})
			entries = append(entries, t.creditEntry(c, w.units, w.passed))
			w.ceiling = w.units
		}
	}
	if !t.ended[p] {
		if err := t.book.write(entries...); err != nil {
			return nil, err
		}
		t.ended[p] = true
	}
	slices.SortFunc(all, func(a, b ledger.Leaf) int { return bytes.Compare(a.Holder[:], b.Holder[:]) })
	return all, nil
}

// slips are the vouchers of a period, the highest sums first.
func (t *Till) slips(p period) []ledger.Ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []ledger.Ticket
	for s, v := range t.vouchers {
		if s.period == p {
			all = append(all, ledger.TicketOf(v))
		}
	}
	slices.SortFunc(all, func(a, b ledger.Ticket) int {
		return cmp.Or(cmp.Compare(b.Cum, a.Cum), bytes.Compare(a.Client[:], b.Client[:]), bytes.Compare(a.Session[:], b.Session[:]))
	})
	return all
}

// close submits the vouchers and closes, in one message if they are few.
func (t *Till) close(ctx context.Context, p period, leaves []ledger.Leaf) error {
	last := &ledger.SettleEpoch{Gate: t.gate, Model: p.model, Epoch: p.epoch, Close: true}
	if len(leaves) > 0 {
		root, _, err := ledger.Tree(leaves)
		if err != nil {
			return err
		}
		last.Root = root
		if len(leaves) <= ledger.MaxLeaves {
			last.Leaves = leaves
		}
	}
	for batch := range slices.Chunk(t.slips(p), ledger.MaxTickets) {
		if len(batch) < ledger.MaxTickets {
			last.Tickets = batch
			break
		}
		m := &ledger.SettleEpoch{Gate: t.gate, Model: p.model, Epoch: p.epoch, Tickets: batch}
		if _, err := t.cfg.Ledger.Submit(ctx, m); err != nil {
			return err
		}
	}
	_, err := t.cfg.Ledger.Submit(ctx, last)
	return err
}

// claim pays the holders that are not paid yet.
func (t *Till) claim(ctx context.Context, p period, leaves []ledger.Leaf) error {
	_, proofs, err := ledger.Tree(leaves)
	if err != nil {
		return err
	}
	view := ledger.View{Getter: t.cfg.Ledger}
	for i, l := range leaves {
		_, paid, err := view.Claimed(ctx, p.epoch, p.model, t.gate, l.Holder)
		if err != nil {
			return err
		}
		if paid {
			continue
		}
		m := &ledger.Claim{Gate: t.gate, Model: p.model, Epoch: p.epoch, Leaf: l, Proof: proofs[i]}
		if _, err := t.cfg.Ledger.Submit(ctx, m); err != nil && !errors.Is(err, ledger.ErrDuplicate) {
			return err
		}
	}
	return nil
}

// forget drops a period that is settled.
func (t *Till) forget(p period) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []entry
	for s := range t.vouchers {
		if s.period == p {
			all = append(all, entry{voucherTable, voucherKey(s), nil})
		}
	}
	for c := range t.credits {
		if c.period == p {
			all = append(all, entry{creditTable, creditKey(c), nil})
		}
	}
	for old := range t.ended {
		if old.epoch+16 < p.epoch { // long past what anybody still brings
			all = append(all, entry{endedTable, periodKey(old), nil})
			delete(t.ended, old)
		}
	}
	if err := t.book.write(all...); err != nil {
		return err
	}
	drop(t.vouchers, func(s slip) bool { return s.period == p })
	drop(t.dirty, func(s slip) bool { return s.period == p })
	drop(t.credits, func(c credit) bool { return c.period == p })
	drop(t.totals, func(a account) bool { return a.period == p })
	drop(t.sessions, func(a account) bool { return a.period == p })
	drop(t.shares, func(a account) bool { return a.epoch <= p.epoch })
	drop(t.seats, func(s seat) bool { return s.epoch < p.epoch })
	return nil
}

func drop[K comparable, V any](m map[K]V, gone func(K) bool) {
	for k := range m {
		if gone(k) {
			delete(m, k)
		}
	}
}

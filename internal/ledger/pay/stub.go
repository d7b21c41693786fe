package pay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// StubConfig is what a stub is made of.
type StubConfig struct {
	Path   string // of its file
	Chain  string
	Holder ledger.Key
	Ledger Chain // nil: receipts are only kept and counted
}

// Stub keeps a holder's receipts; it is a [ledger.Stub].
type Stub struct {
	cfg  StubConfig
	book book

	mu       sync.Mutex
	receipts map[promise]ledger.Receipt
	dirty    map[promise]bool
}

// promise is where a receipt counts.
type promise struct {
	period
	gate ledger.Key
}

func (p promise) key() []byte { return append(periodKey(p.period), p.gate[:]...) }

const receiptTable = "receipt"

// maxReceipts bounds what strangers that call themselves gates can have kept.
const maxReceipts = 1 << 16

// NewStub opens a stub.
func NewStub(cfg StubConfig) (*Stub, error) {
	b, err := openBook(cfg.Path, receiptTable)
	if err != nil {
		return nil, err
	}
	s := &Stub{cfg: cfg, book: b, receipts: map[promise]ledger.Receipt{}, dirty: map[promise]bool{}}
	err = b.each(receiptTable, func(_, v []byte) error {
		var r ledger.Receipt
		if err := ledger.Decode(v, &r); err != nil {
			return fmt.Errorf("%s: %w", cfg.Path, err)
		}
		s.receipts[promiseOf(r)] = r
		return nil
	})
	if err != nil {
		b.db.Close()
		return nil, err
	}
	return s, nil
}

func promiseOf(r ledger.Receipt) promise { return promise{period{r.Epoch, r.Model}, r.Gate} }

// Run writes receipts every second until the context ends.
func (s *Stub) Run(ctx context.Context) error { return runFlush(ctx, s.flush) }

// Close writes what is left and closes the file.
func (s *Stub) Close() error { return errors.Join(s.flush(), s.book.db.Close()) }

// Keep takes a receipt; of several for a gate and epoch the highest stays. An
// error wraps ErrSignature, or ErrMalformed for what is not this holder's.
func (s *Stub) Keep(r ledger.Receipt) error {
	if r.Holder != s.cfg.Holder {
		return fmt.Errorf("%w: a receipt for %v", ledger.ErrMalformed, r.Holder)
	}
	at := promiseOf(r)
	s.mu.Lock()
	old, known := s.receipts[at]
	full := !known && len(s.receipts) >= maxReceipts
	s.mu.Unlock()
	switch {
	case known && r.Units <= old.Units:
		return nil
	case full:
		return fmt.Errorf("%w: %d receipts are kept", ledger.ErrCap, maxReceipts)
	}
	if err := ledger.Verify(s.cfg.Chain, r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.receipts[at]; r.Units > old.Units {
		s.receipts[at] = r
		s.dirty[at] = true
	}
	return nil
}

// Owed is how many units a gate has signed for in an epoch.
func (s *Stub) Owed(gate ledger.Key, model ledger.Hash, epoch uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receipts[promise{period{epoch, model}, gate}].Units
}

// Receipts are all that are kept, in the order of epochs.
func (s *Stub) Receipts() []ledger.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ledger.Receipt, 0, len(s.receipts))
	for _, r := range s.receipts {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b ledger.Receipt) int { return bytes.Compare(promiseOf(a).key(), promiseOf(b).key()) })
	return all
}

// Dispute compares the receipts of an epoch with what their gates settled. What
// is settled is forgotten. What is short, or of a gate that has one epoch left
// to settle and has not, is shown to the ledger. Call it in each epoch after,
// for all epochs of Receipts.
func (s *Stub) Dispute(ctx context.Context, epoch uint64) error {
	if s.cfg.Ledger == nil {
		return errors.New("receipts cannot be disputed without a ledger")
	}
	now, err := s.cfg.Ledger.Clock(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, r := range s.Receipts() {
		if r.Epoch != epoch {
			continue
		}
		if err := s.dispute(ctx, r, now); err != nil {
			failed = errors.Join(failed, fmt.Errorf("the receipt of gate %v for epoch %d: %w", r.Gate, r.Epoch, err))
		}
	}
	return failed
}

func (s *Stub) dispute(ctx context.Context, r ledger.Receipt, now ledger.Clock) error {
	if r.Epoch >= now.Epoch {
		return fmt.Errorf("%w: epoch %d is not over", ledger.ErrTooEarly, r.Epoch)
	}
	view := ledger.View{Getter: s.cfg.Ledger}
	w, err := view.Work(ctx, r.Epoch, r.Model, r.Gate)
	if err != nil {
		return err
	}
	had, known, err := view.Claimed(ctx, r.Epoch, r.Model, r.Gate, r.Holder)
	if err != nil {
		return err
	}
	age := now.Epoch - r.Epoch
	switch {
	case known && had.Units >= r.Units:
		return s.forget(promiseOf(r))
	case !w.Closed && age < ledger.SettleEpochs:
		return nil // the gate still has time
	}
	_, err = s.cfg.Ledger.Submit(ctx, &ledger.DisputeReceipt{Receipt: r})
	switch {
	case errors.Is(err, ledger.ErrDuplicate):
		return nil // shown before; it waits for the gate
	case errors.Is(err, ledger.ErrTooLate), errors.Is(err, ledger.ErrUnknown):
		return errors.Join(err, s.forget(promiseOf(r)))
	}
	return err
}

func (s *Stub) forget(at promise) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.receipts, at)
	delete(s.dirty, at)
	return s.book.write(entry{receiptTable, at.key(), nil})
}

func (s *Stub) flush() error {
	s.mu.Lock()
	var all []entry
	for at := range s.dirty {
		r := s.receipts[at]
		all = append(all, entry{receiptTable, at.key(), ledger.Encode(&r)})
	}
	was := s.dirty
	s.dirty = map[promise]bool{}
	s.mu.Unlock()
	err := s.book.write(all...)
	if err != nil {
		s.mu.Lock()
		for at := range was {
			s.dirty[at] = true
		}
		s.mu.Unlock()
	}
	return err
}

package toll

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// late is a till that knows of an epoch when the gating node does.
type late struct {
	*book
	epoch *atomic.Uint64
}

func (l late) Accept(ctx context.Context, v ledger.Voucher) (ledger.Amount, error) {
	if v.Epoch > l.epoch.Load() {
		return 0, ledger.ErrTooLate
	}
	return l.book.Accept(ctx, v)
}

// TestClientHearsOfAnEpochFirst: a voucher of an epoch that the gating node cannot
// see for some moments is taken when it can, and one of an epoch that does not
// come is not.
func TestClientHearsOfAnEpochFirst(t *testing.T) {
	for _, tt := range []struct {
		epoch uint64 // of the client
		looks int32  // after which the gating node sees the next one
		taken bool
	}{{1, 100, true}, {2, 1, true}, {2, 8, true}, {2, 1000, false}, {3, 1, false}} {
		p := newPair(t, true)
		synctest.Test(t, func(t *testing.T) {
			var epoch atomic.Uint64
			epoch.Store(1)
			looks := int32(0)
			p.gate.cfg.Till, p.gate.cfg.Epoch = late{p.book, &epoch}, epoch.Load
			p.gate.cfg.Look = func(context.Context) {
				if looks++; looks == tt.looks {
					epoch.Store(2)
				}
			}
			p.payer.cfg.Epoch = func() uint64 { return tt.epoch }
			p.payer.cfg.Period = func(ledger.Key, ledger.Hash) (uint64, bool) { return tt.epoch, true }
			begun := time.Now()
			_, _, err := p.answer(t.Context(), prompt.Request{Text: "four"}, 2, 3, nil)
			if taken := err == nil; taken != tt.taken || err != nil && !errors.Is(err, prompt.ErrUnpaid) {
				t.Errorf("%+v: %v after %d looks in %v", tt, err, looks, time.Since(begun))
			}
		})
	}
}

// TestNoVoucherInVain: a client signs nothing for a gating node that could not
// cash it, and goes elsewhere.
func TestNoVoucherInVain(t *testing.T) {
	p := newPair(t, true)
	asked := 0
	p.payer.cfg.Period = func(ledger.Key, ledger.Hash) (uint64, bool) {
		asked++
		return 1, asked < 3
	}
	got, bill, err := p.answer(t.Context(), prompt.Request{Text: "four"}, 2, 200, nil)
	if !errors.Is(err, prompt.ErrNotMember) || errors.Is(err, prompt.ErrUnpaid) || got == 0 || got == 200 {
		t.Errorf("%d tokens, %v", got, err)
	}
	if spent, _ := bill.payer.Spent(); spent != p.book.highest[bill.lane.session] || p.book.signed != 2 {
		t.Errorf("%d vouchers of %v signed, of which the gating node has %v", p.book.signed, spent, p.book.highest[bill.lane.session])
	}
}

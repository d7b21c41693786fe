package toll

import (
	"context"
	"errors"
	"testing"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// PayAudit implements AuditPurse.
func (b *book) PayAudit(ctx context.Context, due ledger.Due) (ledger.Voucher, ledger.Amount, error) {
	v, err := b.Pay(ctx, due)
	if err != nil {
		return v, 0, err
	}
	fresh := due.Cum - b.audits[due.Session]
	b.audits[due.Session] = due.Cum
	return v, fresh, nil
}

func audited() Audit {
	return Audit{Chunk: ledger.Chunk{Gate: ledger.Key{8}, Model: ledger.Hash{9}, Session: ledger.Session{7}}, Epoch: 1, Tokens: 150}
}

// TestAuditIsPaidOnce: an audit costs its tokens, once, whoever asks again; and
// nothing that was promised for something else pays for it.
func TestAuditIsPaidOnce(t *testing.T) {
	p := newPair(t, true)
	client := ledger.KeyOf(p.book.client)
	a := audited()
	for range 3 {
		v, err := p.payer.PayAudit(t.Context(), p.key, a)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.gate.TakeAudit(t.Context(), client, a, v); err != nil {
			t.Fatal(err)
		}
		if spent, _ := p.payer.Spent(); spent != 150*price {
			t.Errorf("%v spent on 150 tokens", spent)
		}
		if earned, _ := p.gate.Earned(); earned != 150*price || p.taken() != earned {
			t.Errorf("%v earned, %v taken for 150 tokens", earned, p.taken())
		}
	}
	right, err := p.payer.PayAudit(t.Context(), p.key, a)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(a *Audit, v *ledger.Voucher){
		"more tokens":         func(a *Audit, _ *ledger.Voucher) { a.Tokens++ },
		"no tokens":           func(a *Audit, _ *ledger.Voucher) { a.Tokens = 0 },
		"no end of tokens":    func(a *Audit, _ *ledger.Voucher) { a.Tokens = 1 << 63 },
		"another answer":      func(a *Audit, _ *ledger.Voucher) { a.Chunk.Session[0]++ },
		"another gate":        func(a *Audit, _ *ledger.Voucher) { a.Chunk.Gate[0]++ },
		"another model":       func(a *Audit, _ *ledger.Voucher) { a.Chunk.Model[0]++ },
		"another epoch":       func(a *Audit, _ *ledger.Voucher) { a.Epoch++ },
		"somebody's":          func(_ *Audit, v *ledger.Voucher) { v.Client[0]++ },
		"for somebody":        func(_ *Audit, v *ledger.Voucher) { v.Gate[0]++ },
		"less money":          func(_ *Audit, v *ledger.Voucher) { v.Cum -= price },
		"fewer tokens":        func(_ *Audit, v *ledger.Voucher) { v.Tokens-- },
		"a signature's bit":   func(_ *Audit, v *ledger.Voucher) { v.Cum += price; v.Tokens++; v.Sig[3] ^= 1 },
		"money for no tokens": func(_ *Audit, v *ledger.Voucher) { v.Cum *= 2 },
	} {
		b, v := a, right
		spoil(&b, &v)
		if err := p.gate.TakeAudit(t.Context(), client, b, v); !errors.Is(err, prompt.ErrUnpaid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if earned, _ := p.gate.Earned(); earned != 150*price {
		t.Errorf("%v earned at the end", earned)
	}
}

// TestFreeAudits: who pays nothing has audits out of its free quota, which is one
// with that of answers.
func TestFreeAudits(t *testing.T) {
	p := newPair(t, false)
	a := audited()
	for _, try := range []struct {
		tokens uint64
		ok     bool
	}{{41, false}, {30, true}, {11, false}, {10, true}, {1, false}} {
		a.Tokens = try.tokens
		v, err := p.payer.PayAudit(t.Context(), p.key, a)
		if err != nil || v != (ledger.Voucher{}) {
			t.Fatalf("a voucher of one who pays nothing: %v", err)
		}
		if err := p.gate.TakeAudit(t.Context(), ledger.Key{5}, a, v); try.ok != (err == nil) || err != nil && !errors.Is(err, prompt.ErrUnpaid) {
			t.Errorf("%d tokens: %v", try.tokens, err)
		}
	}
	if got, _, err := p.answer(t.Context(), prompt.Request{Model: [32]byte{9}, MaxTokens: 30}, 2, 30, nil); err != nil || got != 30 { // another client
		t.Errorf("%d tokens, %v", got, err)
	}
}

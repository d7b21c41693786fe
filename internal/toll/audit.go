package toll

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// Audit is an answer of another gating node that a client has looked at. It costs
// what a prompt of so many tokens costs, ahead of the work, in a session of its own.
type Audit struct {
	Chunk  ledger.Chunk
	Epoch  uint64 // in which the auditor is the client's
	Tokens uint64 // prompt and answer
}

// PayAudit promises an auditor the price of an audit. The voucher is zero where it
// costs nothing, or this client pays nothing; an error wraps ledger.ErrCap when
// what may be spent on audits is spent.
func (p *Payer) PayAudit(ctx context.Context, auditor ledger.Key, a Audit) (v ledger.Voucher, err error) {
	price := p.cfg.Price(auditor, a.Chunk.Model)
	if p.cfg.Audits == nil || price == 0 {
		return v, nil
	}
	due := ledger.Due{Gate: auditor, Model: a.Chunk.Model, Epoch: a.Epoch, Session: ledger.AuditSession(a.Chunk),
		Tokens: a.Tokens, Cum: ledger.Amount(ledger.MulDiv(a.Tokens, uint64(price), 1))}
	v, fresh, err := p.cfg.Audits.PayAudit(ctx, due)
	p.spent.Add(uint64(fresh))
	return v, err
}

// AuditPurse signs vouchers for audits, and says how much of each is new.
type AuditPurse interface {
	PayAudit(ctx context.Context, due ledger.Due) (v ledger.Voucher, fresh ledger.Amount, err error)
}

// TakeAudit takes a client's payment for an audit, or its tokens from the client's
// free quota where no voucher came. Taken again it adds nothing. An error wraps
// prompt.ErrUnpaid: there is nothing to work for.
func (g *Gate) TakeAudit(ctx context.Context, from ledger.Key, a Audit, v ledger.Voucher) error {
	price := g.cfg.Price(a.Chunk.Model)
	switch {
	case a.Tokens == 0 || a.Tokens > transcript.MaxTokens:
		return fmt.Errorf("%w: an audit of %d tokens", prompt.ErrUnpaid, a.Tokens)
	case price == 0:
		return nil
	case v == ledger.Voucher{}:
		return g.freeAudit(from, a.Tokens)
	case v.Client != from || v.Gate != g.self || v.Model != a.Chunk.Model || v.Epoch != a.Epoch || v.Session != ledger.AuditSession(a.Chunk):
		return fmt.Errorf("%w: a voucher for something else", prompt.ErrUnpaid)
	case v.Tokens < a.Tokens || v.Cum/price < ledger.Amount(a.Tokens) || v.Tokens < uint64(v.Cum/price):
		return fmt.Errorf("%w: a voucher of %v for %d tokens, for an audit of %d of %v each", prompt.ErrUnpaid, v.Cum, v.Tokens, a.Tokens, price)
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Wait)
	defer cancel()
	g.turn(ctx, v.Epoch)
	fresh, err := g.cfg.Till.Accept(ctx, v)
	if err != nil {
		return fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
	}
	g.earned.Add(uint64(fresh))
	return nil
}

// freeAudit counts an audit in the quota of a client that pays nothing.
func (g *Gate) freeAudit(from ledger.Key, tokens uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnLocked()
	c := g.clientLocked(from)
	if left := g.cfg.Free() - min(g.cfg.Free(), c.freeUsed); tokens > left {
		return fmt.Errorf("%w: an audit of %d tokens, %d of the free quota are left", prompt.ErrUnpaid, tokens, left)
	}
	if g.freeAll+tokens > g.cfg.FreeAll() {
		return errors.Join(prompt.ErrUnpaid, errors.New("what is given for free in this epoch is used up"))
	}
	c.freeUsed += tokens
	g.freeAll += tokens
	return nil
}

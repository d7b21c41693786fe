package pay

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Window is how much is due once so many tokens have come: everything to the
// end of the window that the next token is in, and one window ahead.
func Window(tokens, window uint64, price ledger.Amount) (paidTokens uint64, cum ledger.Amount) {
	paidTokens = (tokens/window + 1) * window
	return paidTokens, ledger.Amount(ledger.MulDiv(paidTokens, uint64(price), 1))
}

// PurseConfig is what a purse is made of.
type PurseConfig struct {
	Path     string // of its file
	Chain    string
	Key      ed25519.PrivateKey
	MaxSpend ledger.Amount // in all, as long as the file lives
	// MaxAudits is how much of that may go to who looks at answers of others.
	MaxAudits ledger.Amount
}

// Purse signs vouchers; it is a [ledger.Purse].
type Purse struct {
	cfg    PurseConfig
	client ledger.Key
	book   book

	mu       sync.Mutex
	spent    ledger.Amount // promised in all
	audits   ledger.Amount // of that, for audits; on disk
	reserved ledger.Amount // on disk; never less than spent
	sessions map[tab]*running
}

// tab is a session at a gate.
type tab struct {
	gate    ledger.Key
	model   ledger.Hash
	session ledger.Session
}

// running is what a session has promised: in the epochs before, and in this.
type running struct {
	epoch        uint64
	tokensBefore uint64
	cumBefore    ledger.Amount
	voucher      ledger.Voucher
}

const purseTable = "purse"

var spentKey, auditsKey = []byte("spent"), []byte("audits")

// reserveParts is into how many steps of the disk a purse's limit falls.
const reserveParts = 256

// maxRunning bounds the sessions a purse remembers.
const maxRunning = 4096

// NewPurse opens a purse. A crash may have cost it a 256th of its limit.
func NewPurse(cfg PurseConfig) (*Purse, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("a purse needs the account's key")
	}
	b, err := openBook(cfg.Path, purseTable)
	if err != nil {
		return nil, err
	}
	p := &Purse{cfg: cfg, client: ledger.KeyOf(cfg.Key), book: b, sessions: map[tab]*running{}}
	err = b.each(purseTable, func(k, v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("%s is damaged", cfg.Path)
		}
		switch n := ledger.Amount(binary.BigEndian.Uint64(v)); string(k) {
		case string(spentKey):
			p.spent, p.reserved = n, n
		case string(auditsKey):
			p.audits = n
		}
		return nil
	})
	if err != nil {
		b.db.Close()
		return nil, err
	}
	return p, nil
}

// Pay signs a voucher for what is due. What is due for a session never falls;
// the same due gives the same voucher. An error wraps [ledger.ErrCap] when the
// limit is reached.
func (p *Purse) Pay(_ context.Context, due ledger.Due) (ledger.Voucher, error) {
	v, _, err := p.pay(due, p.reserve)
	return v, err
}

// PayAudit is Pay for an audit of somebody else's answer, within MaxAudits, and
// says how much of the voucher is new. One that is signed again after a restart
// counts twice here, not where it goes.
func (p *Purse) PayAudit(_ context.Context, due ledger.Due) (v ledger.Voucher, fresh ledger.Amount, err error) {
	return p.pay(due, p.reserveAudit)
}

func (p *Purse) pay(due ledger.Due, reserve func(ledger.Amount) error) (v ledger.Voucher, fresh ledger.Amount, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := tab{due.Gate, due.Model, due.Session}
	r := p.sessions[at]
	if r == nil {
		if len(p.sessions) >= maxRunning {
			return v, 0, fmt.Errorf("%w: %d sessions are being paid for; close some", ledger.ErrCap, maxRunning)
		}
		r = &running{epoch: due.Epoch}
	}
	next := *r
	switch {
	case due.Epoch < r.epoch:
		return v, 0, fmt.Errorf("%w: a voucher for epoch %d after one for %d", ledger.ErrTooLate, due.Epoch, r.epoch)
	case due.Epoch > r.epoch:
		next = running{epoch: due.Epoch, tokensBefore: r.tokensBefore + r.voucher.Tokens, cumBefore: r.cumBefore + r.voucher.Cum}
	}
	before := next.cumBefore + next.voucher.Cum
	if due.Cum < before || due.Tokens < next.tokensBefore+next.voucher.Tokens {
		return v, 0, fmt.Errorf("%w: %v due after %v", ledger.ErrMalformed, due.Cum, before)
	}
	if err := reserve(due.Cum - before); err != nil {
		return v, 0, err
	}
	next.voucher = ledger.Voucher{
		Client: p.client, Gate: due.Gate, Model: due.Model, Epoch: due.Epoch, Session: due.Session,
		Tokens: due.Tokens - next.tokensBefore, Cum: due.Cum - next.cumBefore,
	}.Sign(p.cfg.Chain, p.cfg.Key)
	p.sessions[at] = &next
	return next.voucher, due.Cum - before, nil
}

// reserve counts n as spent, and has the disk know it before.
func (p *Purse) reserve(n ledger.Amount) error {
	if n > p.cfg.MaxSpend-min(p.spent, p.cfg.MaxSpend) {
		return fmt.Errorf("%w: %v of the %v that may be spent are spent; %v more are due (--max-spend)", ledger.ErrCap, p.spent, p.cfg.MaxSpend, n)
	}
	total := p.spent + n
	if total > p.reserved {
		step := max(p.cfg.MaxSpend/reserveParts, 1)
		reserved := min(p.cfg.MaxSpend, total+step)
		if err := p.save(reserved); err != nil {
			return err
		}
		p.reserved = reserved
	}
	p.spent = total
	return nil
}

// reserveAudit does so within the part that is for audits, of which the disk
// knows at once.
func (p *Purse) reserveAudit(n ledger.Amount) error {
	if n > p.cfg.MaxAudits-min(p.audits, p.cfg.MaxAudits) {
		return fmt.Errorf("%w: %v of the %v that may be spent on audits are spent; %v more are due (--max-audit-spend)", ledger.ErrCap, p.audits, p.cfg.MaxAudits, n)
	}
	if err := p.reserve(n); err != nil || n == 0 {
		return err
	}
	p.audits += n
	return p.book.write(entry{purseTable, auditsKey, binary.BigEndian.AppendUint64(nil, uint64(p.audits))})
}

func (p *Purse) save(n ledger.Amount) error {
	return p.book.write(entry{purseTable, spentKey, binary.BigEndian.AppendUint64(nil, uint64(n))})
}

// End forgets a session; it is paid for.
func (p *Purse) End(gate ledger.Key, model ledger.Hash, s ledger.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, tab{gate, model, s})
}

// Spent is what was promised in all.
func (p *Purse) Spent() ledger.Amount {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent
}

// Audits is how much of that was for audits.
func (p *Purse) Audits() ledger.Amount {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.audits
}

// Close writes what was spent and closes the file.
func (p *Purse) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.save(p.spent), p.book.db.Close())
}

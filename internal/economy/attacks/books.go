package attacks

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
)

// books are what honest people on a stage keep: the node's own purses, tills and
// stubs, on disk.
type books struct {
	*stage
	dir   string
	close []func() error
}

// withBooks plays a scene with books, which are gone afterwards.
func (s *stage) withBooks(scene func(b *books)) {
	dir, err := os.MkdirTemp("", "moeswarm-attacks-")
	check(err)
	b := &books{stage: s, dir: dir}
	defer func() {
		var errs []error
		for _, c := range b.close {
			errs = append(errs, c())
		}
		if err := errors.Join(append(errs, os.RemoveAll(dir))...); err != nil && recover() == nil {
			check(err)
		}
	}()
	scene(b)
}

func (b *books) path(p person, what string) string {
	return filepath.Join(b.dir, p.key.String()[:16]+what)
}

// purse is a client's.
func (b *books) purse(p person, most ledger.Amount) *pay.Purse {
	v, err := pay.NewPurse(pay.PurseConfig{Path: b.path(p, ".purse"), Chain: chain, Key: p.private, MaxSpend: most})
	check(err)
	b.close = append(b.close, v.Close)
	return v
}

// till is a gate's.
func (b *books) till(p person) *pay.Till {
	v, err := pay.NewTill(pay.TillConfig{Path: b.path(p, ".till"), Chain: chain, Key: p.private, Ledger: b.ledger.As(p.key)})
	check(err)
	b.close = append(b.close, v.Close)
	return v
}

// stub is a holder's.
func (b *books) stub(p person) *pay.Stub {
	v, err := pay.NewStub(pay.StubConfig{Path: b.path(p, ".stub"), Chain: chain, Holder: p.key, Ledger: b.ledger.As(p.key)})
	check(err)
	b.close = append(b.close, v.Close)
	return v
}

// due is a voucher that a client's purse signs for tokens of 1000 nneuro.
func (b *books) due(purse *pay.Purse, gate person, epoch uint64, session byte, cum ledger.Amount) ledger.Voucher {
	v, err := purse.Pay(b.ctx(), ledger.Due{Gate: gate.key, Model: b.model, Epoch: epoch, Session: ledger.Session{session}, Tokens: uint64(cum) / tokenPrice, Cum: cum})
	check(err)
	return v
}

// tokenPrice is what a token costs on a stage, in nneuro.
const tokenPrice = 1000

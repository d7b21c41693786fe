package mem

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// Config is what a ledger starts with.
type Config struct {
	Chain    string // its name
	Genesis  state.Genesis
	Accounts map[ledger.Key]ledger.Amount
}

// Ledger is a ledger in memory.
type Ledger struct {
	chain string

	mu       sync.Mutex
	store    *store
	watchers map[chan ledger.Event]bool
}

// New makes a ledger of block 0. The bonds of the genesis are minted besides
// the accounts.
func New(cfg Config) (*Ledger, error) {
	if cfg.Chain == "" || len(cfg.Chain) > ledger.MaxChain {
		return nil, fmt.Errorf("a chain's name has 1 to %d bytes", ledger.MaxChain)
	}
	l := &Ledger{chain: cfg.Chain, store: newStore(), watchers: map[chan ledger.Event]bool{}}
	for k, n := range cfg.Accounts {
		if err := l.store.Mint(state.Account{Key: k}, n); err != nil {
			return nil, err
		}
	}
	for _, p := range cfg.Genesis.Providers {
		if err := l.store.Mint(state.Account{Pot: state.PotBond}, p.Bond); err != nil {
			return nil, err
		}
	}
	if err := l.machine().Init(cfg.Genesis); err != nil {
		return nil, err
	}
	l.store.commit()
	return l, nil
}

func (l *Ledger) machine() *state.Machine { return state.New(l.chain, l.store, l.store) }

// Chain is the ledger's name, which every signature is bound to.
func (l *Ledger) Chain() string { return l.chain }

// Tick makes a block. Its beacon is a function of the height.
func (l *Ledger) Tick() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.machine()
	height := m.Clock().Height + 1
	beacon := ledger.Sum([]byte("beacon"), []byte(l.chain), binary.BigEndian.AppendUint64(nil, height))
	events, err := m.BeginBlock(height, beacon[:])
	return l.end(events, err)
}

// NextEpoch makes blocks until an epoch begins.
func (l *Ledger) NextEpoch() error {
	for {
		if err := l.Tick(); err != nil {
			return err
		}
		if k := l.Clock(); k.Height == k.Start {
			return nil
		}
	}
}

// Clock is where the ledger stands.
func (l *Ledger) Clock() ledger.Clock {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine().Clock()
}

// Deliver applies a message of a signer.
func (l *Ledger) Deliver(signer ledger.Key, msg ledger.Msg) ([]ledger.Event, error) {
	b, err := ledger.EncodeMsg(msg)
	if err != nil {
		return nil, err
	}
	// As on the chain, what counts is what the bytes say.
	if msg, err = ledger.DecodeMsg(b); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	events, err := l.machine().Deliver(signer, msg)
	return events, l.end(events, err)
}

// end keeps or undoes what a message or block did.
func (l *Ledger) end(events []ledger.Event, err error) error {
	if err != nil {
		l.store.rollback()
		return err
	}
	l.store.commit()
	for ch := range l.watchers {
		for _, e := range events {
			select {
			case ch <- e:
			default: // the reader fell behind: the oldest goes
				select {
				case <-ch:
				default:
				}
				ch <- e
			}
		}
	}
	return nil
}

// Hash names the whole state and all balances.
func (l *Ledger) Hash() ledger.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.hash()
}

// Money is what a pot or account has.
func (l *Ledger) Money(a state.Account) ledger.Amount {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store.Balance(a)
}

// Supply is how much money there is, and the sum of all accounts, which is the
// same.
func (l *Ledger) Supply() (supply, accounts ledger.Amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.store.coins {
		accounts += n
	}
	return l.store.supply, accounts
}

// Size is how many records there are, and their bytes, keys included.
func (l *Ledger) Size() (records, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, v := range l.store.records {
		bytes += len(k) + len(v)
	}
	return len(l.store.records), bytes
}

// Govern applies a message that governance decided.
func (l *Ledger) Govern(msg ledger.Msg) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	events, err := l.machine().Govern(msg)
	return l.end(events, err)
}

// Audit says whether the books are right: what pots hold, what records say, and
// the sum of all.
func (l *Ledger) Audit() error {
	if supply, accounts := l.Supply(); supply != accounts {
		return fmt.Errorf("a supply of %d, accounts of %d", supply, accounts)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine().Audit()
}

// As is the ledger as the holder of a key sees it.
func (l *Ledger) As(k ledger.Key) ledger.Ledger {
	return &account{View: ledger.View{Getter: getter{l}}, ledger: l, key: k}
}

type getter struct{ *Ledger }

// Get reads a record.
func (g getter) Get(_ context.Context, key []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.store.Get(key), nil
}

type account struct {
	ledger.View
	ledger *Ledger
	key    ledger.Key
}

// Submit applies a message of the account.
func (a *account) Submit(_ context.Context, m ledger.Msg) (ledger.TxID, error) {
	if _, err := a.ledger.Deliver(a.key, m); err != nil {
		return ledger.TxID{}, err
	}
	b, err := ledger.EncodeMsg(m)
	return ledger.Sum(a.key[:], b), err
}

// Balance is what a key has.
func (a *account) Balance(_ context.Context, k ledger.Key) (ledger.Amount, error) {
	return a.ledger.Money(state.Account{Key: k}), nil
}

// eventBuffer is how many events wait for a reader.
const eventBuffer = 256

// Events tells what happens from now on.
func (a *account) Events(ctx context.Context) (<-chan ledger.Event, error) {
	l := a.ledger
	ch := make(chan ledger.Event, eventBuffer)
	l.mu.Lock()
	l.watchers[ch] = true
	l.mu.Unlock()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, ch)
		close(ch)
	})
	return ch, nil
}

// Close does nothing; the ledger lives as long as it is referred to.
func (a *account) Close() error { return nil }

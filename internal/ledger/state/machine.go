package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// KV is the store of records.
type KV interface {
	Get(key []byte) []byte // nil: none
	Set(key, value []byte)
	Delete(key []byte)
	// Iterate calls f for the keys with a prefix, in ascending order, until it
	// returns false. f does not write.
	Iterate(prefix []byte, f func(key, value []byte) bool)
}

// Pot is money that belongs to a rule and not to a person.
type Pot uint8

// The pots. PotNone stands for the account of a key.
const (
	PotNone       Pot = iota
	PotEscrow         // of clients
	PotBond           // of providers, with what unbonds
	PotWork           // paid by vouchers, not yet with gates and holders
	PotCase           // bonds of challengers and appellants
	PotTreasury       // of the DAO
	PotValidators     // for those who make blocks
)

// String is the pot's name.
func (p Pot) String() string {
	return [...]string{"account", "escrow", "bond", "work", "case", "treasury", "validators"}[p]
}

// Account is a pot, or a key's own money if the pot is PotNone.
type Account struct {
	Pot Pot
	Key ledger.Key
}

// Money keeps the coins. Move and Burn fail when there is not enough.
type Money interface {
	Move(from, to Account, n ledger.Amount) error
	Mint(to Account, n ledger.Amount) error
	Burn(from Account, n ledger.Amount) error
	Balance(a Account) ledger.Amount
	Supply() ledger.Amount
}

// Machine is the state of one chain as one message or block sees it.
type Machine struct {
	chain  string
	kv     KV
	money  Money
	clock  ledger.Clock
	params ledger.Params
	events []ledger.Event
}

// New looks at a state. It is cheap, and made for each message.
func New(chain string, kv KV, money Money) *Machine {
	m := &Machine{chain: chain, kv: kv, money: money}
	m.get(ledger.KeyClock(), &m.clock)
	m.get(ledger.KeyParams(), &m.params)
	return m
}

// Clock is where the ledger stands.
func (m *Machine) Clock() ledger.Clock { return m.clock }

// Params are the parameters in force.
func (m *Machine) Params() ledger.Params { return m.params }

// get reads a record; false: there is none.
func (m *Machine) get(key []byte, r ledger.Record) bool {
	b := m.kv.Get(key)
	if b == nil {
		return false
	}
	if err := ledger.Decode(b, r); err != nil {
		// Only this package writes, so the disk is damaged: nothing computed
		// from it would be what other machines compute.
		panic(fmt.Sprintf("state under %q: %v", key, err))
	}
	return true
}

func (m *Machine) set(key []byte, r ledger.Record) { m.kv.Set(key, ledger.Encode(r)) }

// keys lists the keys with a prefix, since what is listed is often deleted.
func (m *Machine) keys(prefix []byte) [][]byte {
	var all [][]byte
	m.kv.Iterate(prefix, func(key, _ []byte) bool {
		all = append(all, append([]byte(nil), key...))
		return true
	})
	return all
}

func (m *Machine) drop(prefix []byte) {
	for _, k := range m.keys(prefix) {
		m.kv.Delete(k)
	}
}

func (m *Machine) move(from, to Account, n ledger.Amount) error {
	if n == 0 {
		return nil
	}
	return m.money.Move(from, to, n)
}

func (m *Machine) burn(from Pot, n ledger.Amount) error {
	if n == 0 {
		return nil
	}
	m.event(ledger.Event{Kind: ledger.EventBurned, Amount: n})
	return m.money.Burn(pot(from), n)
}

func (m *Machine) event(e ledger.Event) {
	e.Height = m.clock.Height
	if e.Epoch == 0 {
		e.Epoch = m.clock.Epoch
	}
	m.events = append(m.events, e)
}

func pot(p Pot) Account            { return Account{Pot: p} }
func account(k ledger.Key) Account { return Account{Key: k} }

// provider reads a provider; the error wraps ErrUnknown.
func (m *Machine) provider(k ledger.Key) (ledger.Provider, error) {
	var p ledger.Provider
	if !m.get(ledger.KeyProvider(k), &p) {
		return p, fmt.Errorf("%w: %v is no provider; register first", ledger.ErrUnknown, k)
	}
	return p, nil
}

func (m *Machine) putProvider(k ledger.Key, p ledger.Provider) { m.set(ledger.KeyProvider(k), &p) }

// count keeps the bond as it was when the epoch began, before it changes.
func (m *Machine) count(p *ledger.Provider) {
	if p.CountedAt != m.clock.Epoch {
		p.Counted, p.CountedAt = p.Bond, m.clock.Epoch
	}
}

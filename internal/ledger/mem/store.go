package mem

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// store is records and coins, with a log by which a message is undone.
type store struct {
	records map[string][]byte
	sorted  []string // keys of records, in order
	coins   map[state.Account]ledger.Amount
	supply  ledger.Amount
	undo    []func()
}

func newStore() *store {
	return &store{records: map[string][]byte{}, coins: map[state.Account]ledger.Amount{}}
}

func (s *store) commit() { s.undo = s.undo[:0] }

func (s *store) rollback() {
	for _, f := range slices.Backward(s.undo) {
		f()
	}
	s.commit()
}

// Get returns a record.
func (s *store) Get(key []byte) []byte { return s.records[string(key)] }

// Set stores a record.
func (s *store) Set(key, value []byte) {
	old, had := s.records[string(key)]
	s.undo = append(s.undo, func() { s.put(string(key), old, had) })
	s.put(string(key), value, true)
}

// Delete removes a record.
func (s *store) Delete(key []byte) {
	if old, had := s.records[string(key)]; had {
		s.undo = append(s.undo, func() { s.put(string(key), old, true) })
		s.put(string(key), nil, false)
	}
}

func (s *store) put(key string, value []byte, have bool) {
	_, had := s.records[key]
	at, _ := slices.BinarySearch(s.sorted, key)
	switch {
	case have && !had:
		s.sorted = slices.Insert(s.sorted, at, key)
	case had && !have:
		s.sorted = slices.Delete(s.sorted, at, at+1)
	}
	if have {
		s.records[key] = value
	} else {
		delete(s.records, key)
	}
}

// Iterate visits the records with a prefix, in order.
func (s *store) Iterate(prefix []byte, f func(key, value []byte) bool) {
	at, _ := slices.BinarySearch(s.sorted, string(prefix))
	for _, key := range s.sorted[at:] {
		if !bytes.HasPrefix([]byte(key), prefix) || !f([]byte(key), s.records[key]) {
			return
		}
	}
}

func (s *store) add(a state.Account, n ledger.Amount) { s.coins[a] += n }

func (s *store) take(a state.Account, n ledger.Amount) error {
	if have := s.coins[a]; have < n {
		return fmt.Errorf("%w: %v of %v %v", ledger.ErrFunds, n, have, a.Pot)
	}
	s.coins[a] -= n
	return nil
}

// Move moves coins.
func (s *store) Move(from, to state.Account, n ledger.Amount) error {
	if err := s.take(from, n); err != nil {
		return err
	}
	s.add(to, n)
	s.undo = append(s.undo, func() { s.coins[to] -= n; s.coins[from] += n })
	return nil
}

// Mint makes coins.
func (s *store) Mint(to state.Account, n ledger.Amount) error {
	if n > ledger.MaxSupply-s.supply {
		return fmt.Errorf("%w: a supply of %v and %v more", ledger.ErrCap, s.supply, n)
	}
	s.add(to, n)
	s.supply += n
	s.undo = append(s.undo, func() { s.coins[to] -= n; s.supply -= n })
	return nil
}

// Burn ends coins.
func (s *store) Burn(from state.Account, n ledger.Amount) error {
	if err := s.take(from, n); err != nil {
		return err
	}
	s.supply -= n
	s.undo = append(s.undo, func() { s.coins[from] += n; s.supply += n })
	return nil
}

// Balance is what an account has.
func (s *store) Balance(a state.Account) ledger.Amount { return s.coins[a] }

// Supply is the sum of all accounts.
func (s *store) Supply() ledger.Amount { return s.supply }

// hash names all that the store has, in the order of keys.
func (s *store) hash() ledger.Hash {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, key := range s.sorted {
		field([]byte(key))
		field(s.records[key])
	}
	accounts := slices.SortedFunc(maps.Keys(s.coins), func(a, b state.Account) int {
		if a.Pot != b.Pot {
			return int(a.Pot) - int(b.Pot)
		}
		return bytes.Compare(a.Key[:], b.Key[:])
	})
	for _, a := range accounts {
		if n := s.coins[a]; n > 0 {
			field(append([]byte{byte(a.Pot)}, a.Key[:]...))
			field(binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
	}
	return ledger.Hash(h.Sum(nil))
}

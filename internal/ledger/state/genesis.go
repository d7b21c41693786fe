package state

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Genesis is what a chain starts with. Money of accounts is the host's; bonds
// of Providers must lie in PotBond.
type Genesis struct {
	Params    ledger.Params
	Models    map[ledger.Hash]ledger.Model
	Providers map[ledger.Key]ledger.Provider
}

// Init writes the state before the first block. Providers with a bond count as
// present in epoch 0, so a network that knows its first gates has a committee
// at once.
func (m *Machine) Init(g Genesis) error {
	if err := g.Params.Check(); err != nil {
		return err
	}
	m.params = g.Params
	m.set(ledger.KeyParams(), &m.params)
	seed := ledger.Sum([]byte("genesis"), []byte(m.chain))
	m.clock = ledger.Clock{Blocks: g.Params.EpochBlocks, Rnd: seed}
	m.set(ledger.KeyClock(), &m.clock)
	m.set(ledger.KeySeed(0), &ledger.Word{Hash: seed})
	// In order: some stores' hashes depend on it.
	for _, id := range slices.SortedFunc(maps.Keys(g.Models), func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		model := g.Models[id]
		m.set(ledger.KeyModel(id), &model)
	}
	var bonds ledger.Amount
	for _, k := range slices.SortedFunc(maps.Keys(g.Providers), func(a, b ledger.Key) int { return bytes.Compare(a[:], b[:]) }) {
		p := g.Providers[k]
		if p.Rep == 0 {
			p.Rep = uint16(m.params.StartRep)
		}
		p.Counted, p.CountedAt = p.Bond, 0
		p.Beat = ledger.Beat{Any: p.Bond > 0}
		bonds += p.Bond
		m.putProvider(k, p)
	}
	if have := m.money.Balance(pot(PotBond)); have != bonds {
		return fmt.Errorf("genesis: bonds of %v, but %v in their pot", bonds, have)
	}
	m.elect(0)
	return nil
}

package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// mostUnits is for how many units the pool of a gate's work is: what the paid
// tokens need, and slack for drafts and hedges. It is 0 where nobody said what a
// token needs, or where not one was paid for.
func (m *Machine) mostUnits(model ledger.Hash, tokens uint64) uint64 {
	var v ledger.Model
	m.get(ledger.KeyModel(model), &v)
	need := ledger.MulDiv(tokens, v.UnitsPerRow, 1)
	return ledger.MulDiv(need, m.params.UnitSlackBps, ledger.BpsOne)
}

// backUnits keeps what a unit is worth from falling, however many a gate names:
// what the pool lacks for more units than it is for comes out of the gate's
// share, and then of its bond. So units of a friend, of free answers and of its
// own prompts are the gate's expense and no other holder's. The error wraps
// ErrCap: all the gate has is too little for what it promised.
func (m *Machine) backUnits(gate ledger.Key, model ledger.Hash, units, tokens uint64, s *ledger.Split) error {
	most := m.mostUnits(model, tokens)
	if most == 0 || units <= most {
		return nil
	}
	owed := ledger.Amount(ledger.MulDiv(uint64(s.Pool), units, most))
	lacks := owed - s.Pool
	own := min(lacks, s.Gate)
	lacks -= own
	if p, err := m.provider(gate); err != nil || lacks > p.Stake() {
		return fmt.Errorf("%w: %d units for %d tokens paid; beyond %d they are the gate's expense, and its bond is too small for them", ledger.ErrCap, units, tokens, most)
	}
	if lacks > 0 {
		if _, err := m.takeBond(gate, lacks); err != nil {
			return err
		}
		if err := m.move(pot(PotBond), pot(PotWork), lacks); err != nil {
			return err
		}
	}
	s.Gate, s.Pool = s.Gate-own, owed
	return nil
}

// forfeit is for a gate that promised more units than all it has could back,
// and did not close: the holders have its share too, and it loses its bond.
func (m *Machine) forfeit(gate ledger.Key, s *ledger.Split) error {
	s.Pool, s.Gate = s.Pool+s.Gate, 0
	if _, err := m.provider(gate); err != nil {
		return nil // it has none
	}
	return m.slash(gate, ledger.BpsOne, ledger.Key{})
}

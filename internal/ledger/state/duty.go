package state

import (
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Everybody's open cases are listed under a key of their own, so that a node
// that was away learns by one proof what is asked of it.

func (m *Machine) duties(k ledger.Key) (d ledger.Duties) {
	m.get(ledger.KeyDuties(k), &d)
	return d
}

// hasTime says whether somebody can be given one more case to judge.
func (m *Machine) hasTime(k ledger.Key) bool { return len(m.duties(k).Cases) < ledger.MaxDuties }

// addDuty lists a case. Whoever is in too many as a side misses the list, not
// the case.
func (m *Machine) addDuty(id ledger.Hash, k ledger.Key) {
	d := m.duties(k)
	if len(d.Cases) < ledger.MaxDuties && !slices.Contains(d.Cases, id) {
		d.Cases = append(d.Cases, id)
		m.set(ledger.KeyDuties(k), &d)
	}
}

// dropDuties takes a case off all lists.
func (m *Machine) dropDuties(id ledger.Hash, c *ledger.Case) {
	all := []ledger.Key{c.Accused, c.Challenger}
	for _, panel := range []ledger.Panel{c.First, c.Second} {
		for _, j := range panel.Jurors {
			all = append(all, j.Peer)
		}
	}
	for _, k := range all {
		d := m.duties(k)
		d.Cases = slices.DeleteFunc(d.Cases, func(h ledger.Hash) bool { return h == id })
		if len(d.Cases) == 0 {
			m.kv.Delete(ledger.KeyDuties(k))
		} else {
			m.set(ledger.KeyDuties(k), &d)
		}
	}
}

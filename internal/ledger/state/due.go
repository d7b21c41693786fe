package state

import (
	"bytes"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// due has something looked at when a block begins.
func (m *Machine) due(height uint64, key []byte) { m.set(ledger.KeyDue(height, key), &ledger.Count{}) }

// runDue looks at all that is due by the height of the clock.
func (m *Machine) runDue() error {
	for _, key := range m.before("due", m.clock.Height+1) {
		m.kv.Delete(key)
		what := key[len(ledger.PrefixEpoch("due", 0)):]
		look := m.workDue
		if bytes.HasPrefix(what, ledger.Prefix("case")) {
			look = m.caseDue
		}
		if err := look(what); err != nil {
			return err
		}
	}
	return nil
}

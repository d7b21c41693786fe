package state

import (
	"encoding/binary"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// reward has a finder wait for his part of a slash as long as the rest of the
// culprit's bond would need to leave, and further slashes of the culprit take
// from it as from the bond. Otherwise who is about to lose his bond would have
// a friend find him before, and keep the reward. The coins stay in PotBond.
func (m *Machine) reward(culprit, finder ledger.Key, n ledger.Amount) {
	until := m.clock.Epoch + m.params.UnbondEpochs
	key := ledger.KeyReward(culprit, until, finder)
	var waits ledger.Count
	m.get(key, &waits)
	waits.N += uint64(n)
	m.set(key, &waits)
	m.set(ledger.KeyRewarding(until, culprit), &ledger.Count{})
}

// cutRewards burns a share of what finders of a culprit wait for. Nobody is
// rewarded for that.
func (m *Machine) cutRewards(culprit ledger.Key, bps uint64) error {
	var cut ledger.Amount
	for _, key := range m.keys(ledger.PrefixRewards(culprit)) {
		var waits ledger.Count
		m.get(key, &waits)
		part := ledger.Bps(ledger.Amount(waits.N), bps)
		waits.N -= uint64(part)
		cut += part
		m.set(key, &waits)
	}
	return m.burn(PotBond, cut)
}

// releaseRewards pays the finders whose time has come by the start of an epoch.
// While a case against the culprit is open they wait on, an epoch at a time.
func (m *Machine) releaseRewards(epoch uint64) error {
	for _, key := range m.keys(ledger.PrefixEpoch("rwe", epoch)) {
		m.kv.Delete(key)
		culprit := ledger.Key(key[len(key)-32:])
		p, err := m.provider(culprit)
		if err != nil {
			return err
		}
		if p.OpenCases > 0 {
			m.set(ledger.KeyRewarding(epoch+1, culprit), &ledger.Count{})
			continue
		}
		for _, key := range m.keys(ledger.PrefixRewards(culprit)) {
			due := binary.BigEndian.Uint64(key[len(key)-40:])
			if due > epoch {
				break
			}
			var waits ledger.Count
			m.get(key, &waits)
			m.kv.Delete(key)
			finder := ledger.Key(key[len(key)-32:])
			if err := m.move(pot(PotBond), account(finder), ledger.Amount(waits.N)); err != nil {
				return err
			}
			m.event(ledger.Event{Kind: ledger.EventPaid, Peer: finder, Amount: ledger.Amount(waits.N)})
		}
	}
	return nil
}

package state

import (
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// BeginBlock does what a block does before its messages. beacon is the output
// of the proposer's VRF, which the host has verified.
func (m *Machine) BeginBlock(height uint64, beacon []byte) ([]ledger.Event, error) {
	m.events = nil
	if height <= m.clock.Height {
		return nil, fmt.Errorf("block %d comes after block %d", height, m.clock.Height)
	}
	m.clock.Height = height
	m.clock.Rnd = ledger.Sum([]byte("rnd"), m.clock.Rnd[:], beacon)
	next := ledger.KeySeed(m.clock.Epoch + 1)
	if height >= m.clock.SeedHeight() && m.kv.Get(next) == nil {
		m.set(next, &ledger.Word{Hash: m.clock.Rnd})
	}
	if height >= m.clock.End() {
		if err := m.endEpoch(); err != nil {
			return nil, err
		}
	}
	if err := m.runDue(); err != nil {
		return nil, err
	}
	m.set(ledger.KeyClock(), &m.clock)
	return m.events, nil
}

// endEpoch ends the epoch of the clock and begins the next, at the height of
// the clock.
func (m *Machine) endEpoch() error {
	n := m.clock.Epoch
	if err := m.closeSilent(n); err != nil {
		return err
	}
	if err := m.sweepOld(n); err != nil {
		return err
	}
	var work []seen
	if n > 0 {
		work = m.mergeTallies(n - 1)
	}
	if err := m.emit(n, work); err != nil {
		return err
	}
	m.elect(n + 1)
	m.forget(n + 1)
	m.clock.Epoch, m.clock.Start, m.clock.Blocks = n+1, m.clock.Height, m.params.EpochBlocks
	m.event(ledger.Event{Kind: ledger.EventEpoch})
	if err := m.releaseBonds(n + 1); err != nil {
		return err
	}
	if err := m.releaseRewards(n + 1); err != nil {
		return err
	}
	return m.releaseEscrows()
}

// elect fills the committees of an epoch from the bonds counted when the epoch
// before began and the seed drawn in it.
func (m *Machine) elect(epoch uint64) {
	var seed ledger.Word
	m.get(ledger.KeySeed(epoch), &seed)
	models, tested := map[ledger.Hash]ledger.Model{}, map[ledger.Hash]bool{}
	for _, key := range m.keys(ledger.Prefix("model")) {
		var model ledger.Model
		id := ledger.Hash(key[len(key)-32:])
		m.get(key, &model)
		models[id], tested[id] = model, len(model.SelfTest) > 0 && epoch > 0 && epoch >= model.TestedFrom // at genesis nobody could have been
	}
	candidates := map[ledger.Hash][]ledger.Candidate{}
	for _, key := range m.keys(ledger.Prefix("prov")) {
		var p ledger.Provider
		m.get(key, &p)
		if !m.mayGate(p, epoch) {
			continue
		}
		c := ledger.Candidate{Peer: ledger.Key(key[len(key)-32:]), Weight: uint64(p.BondAt(m.clock.Epoch))}
		for _, id := range p.Gated {
			if !tested[id] || p.PassedIn(m.clock.Epoch, id) {
				candidates[id] = append(candidates[id], c)
			}
		}
	}
	for _, key := range m.keys(ledger.Prefix("model")) {
		id := ledger.Hash(key[len(key)-32:])
		if !models[id].Active {
			continue
		}
		var sitting ledger.Committee
		if epoch > 0 {
			m.get(ledger.KeyGating(epoch-1, id), &sitting)
		}
		seats := ledger.Committee(ledger.Elect(seed.Hash, epoch, id, sitting, m.weigh(candidates[id]), m.params))
		for i, s := range seats {
			p, _ := m.provider(s.Peer)
			seats[i].Price = max(p.PriceOf(id), models[id].Floor)
		}
		m.set(ledger.KeyGating(epoch, id), &seats)
	}
}

// mayGate says whether a provider can be drawn for an epoch: bonded when the
// epoch before began, and seen in it and the one before that. An offline node
// must not be drawn.
func (m *Machine) mayGate(p ledger.Provider, epoch uint64) bool {
	now := m.clock.Epoch
	return p.Roles&ledger.RoleGate != 0 &&
		p.BondAt(now) >= ledger.Amount(m.params.MinGateBond) &&
		p.Jailed <= epoch &&
		p.BeatIn(now) && (now == 0 || p.BeatIn(now-1))
}

// weigh turns bonds into weights: no bond counts more than WeightMedians of the
// median, and reputation scales it.
func (m *Machine) weigh(bonds []ledger.Candidate) []ledger.Candidate {
	all := make([]ledger.Amount, len(bonds))
	for i, c := range bonds {
		all[i] = ledger.Amount(c.Weight)
	}
	limit := ledger.Amount(ledger.MulDiv(uint64(ledger.Median(all)), m.params.WeightMedians, 1))
	weighed := make([]ledger.Candidate, len(bonds))
	for i, c := range bonds {
		p, _ := m.provider(c.Peer)
		weighed[i] = ledger.Candidate{Peer: c.Peer, Weight: ledger.Weigh(all[i], limit, p.Rep)}
	}
	return weighed
}

// forget drops seeds and committees that no settlement needs any more, and roots
// of tallies that are merged.
func (m *Machine) forget(now uint64) {
	const keep = SettleEpochs + 2
	if now < keep {
		return
	}
	m.kv.Delete(ledger.KeySeed(now - keep))
	m.drop(ledger.PrefixEpoch("gating", now-keep))
	m.drop(ledger.PrefixEpoch("tally", now-keep))
}

// closeSilent ends the settlement of the epoch that was to settle by epoch n.
// What gates collected and did not close is split among the receipts they gave.
func (m *Machine) closeSilent(n uint64) error {
	if n < SettleEpochs {
		return nil
	}
	epoch := n - SettleEpochs
	for _, key := range m.keys(ledger.PrefixEpoch("work", epoch)) {
		var w ledger.Work
		if m.get(key, &w); w.Closed {
			continue
		}
		model, gate := ledger.Hash(key[len(key)-64:len(key)-32]), ledger.Key(key[len(key)-32:])
		if err := m.closeByReceipts(epoch, model, gate, &w); err != nil {
			return err
		}
		m.set(key, &w)
	}
	m.drop(ledger.PrefixEpoch("sess", epoch))
	m.drop(ledger.PrefixEpoch("paid", epoch))
	return nil
}

// sweepOld sends what holders did not claim in time to the treasury and forgets
// the settlement.
func (m *Machine) sweepOld(n uint64) error {
	window := SettleEpochs + m.params.ClaimEpochs
	if n < window {
		return nil
	}
	for _, key := range m.before("work", n-window) {
		var w ledger.Work
		m.get(key, &w)
		if w.Until > m.clock.Height {
			continue // receipts may still be disputed
		}
		if err := m.sweepPool(&w); err != nil {
			return err
		}
		m.kv.Delete(key)
		epoch := ledger.EpochOf("work", key)
		rest := key[len(ledger.PrefixEpoch("work", epoch)):]
		m.drop(append(ledger.PrefixEpoch("claim", epoch), rest...))
		m.drop(append(ledger.PrefixEpoch("rcpt", epoch), rest...))
	}
	for _, key := range m.before("inc", n-window) {
		m.kv.Delete(key)
	}
	return nil
}

// before lists the keys of a family of epochs before one.
func (m *Machine) before(family string, epoch uint64) [][]byte {
	var old [][]byte
	m.kv.Iterate(ledger.Prefix(family), func(key, _ []byte) bool {
		if ledger.EpochOf(family, key) >= epoch {
			return false
		}
		old = append(old, append([]byte(nil), key...))
		return true
	})
	return old
}

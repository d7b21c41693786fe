package state

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// commitTally takes what a gate saw in the epoch before. The first word of a
// gate about a provider stands.
func (m *Machine) commitTally(signer ledger.Key, v *ledger.CommitTally) error {
	if v.Epoch+1 != m.clock.Epoch {
		return fmt.Errorf("%w: a tally of epoch %d in epoch %d", ledger.ErrTooLate, v.Epoch, m.clock.Epoch)
	}
	var seats ledger.Committee
	m.get(ledger.KeyGating(v.Epoch, v.Model), &seats)
	if !slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == signer }) {
		return fmt.Errorf("%w: %v did not gate in epoch %d", ledger.ErrUnauthorized, signer, v.Epoch)
	}
	gate, err := m.provider(signer)
	if err != nil {
		return err
	}
	for _, row := range v.Rows {
		key := ledger.KeyTally(v.Epoch, row.Peer, signer)
		if row.Peer == signer || m.kv.Get(key) != nil {
			continue
		}
		if _, err := m.provider(row.Peer); err != nil {
			continue // who has no record has no reputation
		}
		m.set(key, &ledger.Tally{Row: row, Bond: gate.BondAt(m.clock.Epoch)})
	}
	return nil
}

// seen is what the gates together saw of a provider.
type seen struct {
	peer    ledger.Key
	score   uint16
	audited uint64
}

// mergeTallies takes the bond-weighted median of what at least MinReports gates
// said of each provider, which liars with less than half of the bonds do not
// move, makes it the provider's reputation, and forgets the tallies. High
// reputations of the others fade to that of a newcomer.
func (m *Machine) mergeTallies(epoch uint64) []seen {
	var all []seen
	byPeer := map[ledger.Key][]ledger.Tally{}
	var peers []ledger.Key
	for _, key := range m.keys(ledger.PrefixEpoch("rep", epoch)) {
		var t ledger.Tally
		m.get(key, &t)
		m.kv.Delete(key)
		if byPeer[t.Row.Peer] == nil {
			peers = append(peers, t.Row.Peer)
		}
		byPeer[t.Row.Peer] = append(byPeer[t.Row.Peer], t)
	}
	fresh := map[ledger.Key]bool{}
	for _, k := range peers {
		tallies := byPeer[k]
		if uint64(len(tallies)) < m.params.MinReports {
			continue
		}
		p, err := m.provider(k)
		if err != nil {
			continue
		}
		s := seen{
			peer:    k,
			score:   uint16(weightedMedian(tallies, func(t ledger.Tally) uint64 { return uint64(t.Row.Score) })),
			audited: weightedMedian(tallies, func(t ledger.Tally) uint64 { return t.Row.Audited }),
		}
		p.Rep, fresh[k] = s.score, true
		m.putProvider(k, p)
		all = append(all, s)
	}
	m.fade(fresh)
	return all
}

func (m *Machine) fade(fresh map[ledger.Key]bool) {
	start := uint16(m.params.StartRep)
	for _, key := range m.keys(ledger.Prefix("prov")) {
		var p ledger.Provider
		if m.get(key, &p); p.Rep <= start || fresh[ledger.Key(key[len(key)-32:])] {
			continue
		}
		less := uint16(ledger.Bps(ledger.Amount(p.Rep), m.params.RepDecayBps))
		p.Rep = max(start, p.Rep-less)
		m.set(key, &p)
	}
}

// weightedMedian is the least value that half of the bonds do not exceed.
func weightedMedian(tallies []ledger.Tally, value func(ledger.Tally) uint64) uint64 {
	sorted := slices.SortedFunc(slices.Values(tallies), func(a, b ledger.Tally) int { return cmp.Compare(value(a), value(b)) })
	var total, sum ledger.Amount
	for _, t := range sorted {
		total += t.Bond
	}
	for _, t := range sorted {
		if sum += t.Bond; 2*sum >= total {
			return value(t)
		}
	}
	return 0
}

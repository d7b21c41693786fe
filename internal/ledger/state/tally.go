package state

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// commitTally takes a page of what a gate saw in the epoch before. The first page
// binds it to all others.
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
	if err := v.Check(); err != nil {
		return err
	}
	key := ledger.KeyTallyRoot(v.Epoch, v.Model, signer)
	bound := ledger.TallyRoot{Root: v.Root, Total: v.Total}
	m.get(key, &bound)
	page := uint32(1) << v.Page
	if bound.Root != v.Root || bound.Total != v.Total || bound.Pages&page != 0 {
		return fmt.Errorf("%w: page %d of the tally of %v for epoch %d, or another tally of it", ledger.ErrDuplicate, v.Page, signer, v.Epoch)
	}
	bound.Pages |= page
	m.set(key, &bound)
	for _, row := range v.Rows {
		if _, err := m.provider(row.Peer); err != nil || row.Peer == signer {
			continue // who has no record has no reputation
		}
		m.set(ledger.KeyTally(v.Epoch, row.Peer, v.Model, signer), &ledger.Tally{Row: row, Bond: gate.BondAt(m.clock.Epoch)})
	}
	return nil
}

// seen is what the gates together saw of a provider.
type seen struct {
	peer    ledger.Key
	score   uint16
	audited uint64 // of all models, by what a unit of each is worth
}

// mergeTallies takes the bond-weighted median of what at least MinReports gates of
// a model said of each provider, which liars with less than half of the bonds do
// not move, makes it the provider's reputation, and forgets the tallies. High
// reputations of the others fade to that of a newcomer.
func (m *Machine) mergeTallies(epoch uint64) []seen {
	type about struct {
		peer  ledger.Key
		model ledger.Hash
	}
	said := map[about][]ledger.Tally{}
	var order []about // of the keys: peer, then model
	for _, key := range m.keys(ledger.PrefixEpoch("rep", epoch)) {
		var t ledger.Tally
		m.get(key, &t)
		m.kv.Delete(key)
		a := about{t.Row.Peer, ledger.Hash(key[len(key)-64 : len(key)-32])}
		if said[a] == nil {
			order = append(order, a)
		}
		said[a] = append(said[a], t)
	}
	var all []seen
	scores := map[ledger.Key][]ledger.Tally{} // over all models with enough of them
	for _, a := range order {
		tallies := said[a]
		if _, err := m.provider(a.peer); err != nil || uint64(len(tallies)) < m.params.MinReports {
			continue
		}
		var model ledger.Model
		m.get(ledger.KeyModel(a.model), &model)
		work := ledger.MulDiv(weightedMedian(tallies, func(t ledger.Tally) uint64 { return t.Row.Audited }), max(model.UnitWork, 1), 1)
		if n := len(all); n == 0 || all[n-1].peer != a.peer {
			all = append(all, seen{peer: a.peer})
		}
		last := &all[len(all)-1]
		last.audited = addUpTo(last.audited, work)
		scores[a.peer] = append(scores[a.peer], tallies...)
	}
	fresh := map[ledger.Key]bool{}
	for i := range all {
		s := &all[i]
		s.score = uint16(weightedMedian(scores[s.peer], func(t ledger.Tally) uint64 { return uint64(t.Row.Score) }))
		p, _ := m.provider(s.peer)
		p.Rep, fresh[s.peer] = s.score, true
		m.putProvider(s.peer, p)
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

package state_test

import (
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestLongTallies: a tally of several pages counts page by page under the root of
// the first, in any order, each once; one gate's work of two models is added, by what
// a unit of each is worth.
func TestLongTallies(t *testing.T) {
	w := newWorld(t, shape{gates: 1, holders: 2, bond: 1_000_000 * ledger.Neuro, change: func(p *ledger.Params) { p.MinReports = 1 }})
	g, a, b := w.gates[0], w.holders[0], w.holders[1]
	heavy := ledger.Hash{200}
	if err := w.l.Govern(&ledger.SetModel{ID: heavy, Model: ledger.Model{Active: true, Name: "heavy", UnitWork: 10}}); err != nil {
		t.Fatal(err)
	}
	p := w.provider(g)
	w.do(g, &ledger.RegisterProvider{Roles: p.Roles, Class: p.Class, Gated: []ledger.Hash{w.model, heavy}})
	w.epoch()
	w.epoch()
	past := w.l.Clock().Epoch - 1
	rows := make([]ledger.TallyRow, 300) // of strangers, who count nothing, and two holders
	for i := range rows {
		rows[i] = ledger.TallyRow{Peer: ledger.Key{1, byte(i), byte(i >> 8)}, Score: 7000}
	}
	rows[5] = ledger.TallyRow{Peer: a.key, Score: 8000, Audited: 1000}
	rows[299] = ledger.TallyRow{Peer: b.key, Score: 8000, Audited: 1000}
	pages := ledger.TallyPages(w.model, past, rows)
	other := append([]ledger.TallyRow(nil), rows...)
	other[299].Audited = 1 << 40
	w.do(g, pages[2])
	w.refuse(g, pages[2], ledger.ErrDuplicate)
	w.refuse(g, ledger.TallyPages(w.model, past, other)[0], ledger.ErrDuplicate)
	forged := *pages[0]
	forged.Rows = append([]ledger.TallyRow(nil), forged.Rows...)
	forged.Rows[5].Audited++
	w.refuse(g, &forged, ledger.ErrMalformed)
	w.do(g, pages[0])
	w.do(g, ledger.TallyPages(heavy, past, []ledger.TallyRow{{Peer: b.key, Score: 8000, Audited: 200}})[0])
	supply, _ := w.l.Supply()
	before, beforeB := w.balance(a), w.balance(b)
	w.epoch()
	after, _ := w.l.Supply()
	minted := after - supply
	pool := minted - ledger.Bps(ledger.Emission(2, 0, supply, w.params), w.params.ValidatorBps)
	if got, want := w.balance(a)-before, pool/4; !near(got, want) {
		t.Errorf("1000 units had %v, want a quarter of %v", got, pool)
	}
	if got, want := w.balance(b)-beforeB, pool/4*3; !near(got, want) {
		t.Errorf("1000 units and 200 of ten times the work had %v, want three quarters of %v", got, pool)
	}
}

package state_test

import (
	"slices"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// TestSelfTestDecidesSeats: where a model has a self-test, who shows another
// fingerprint, or none, has no seat, and has one again when it passes.
func TestSelfTestDecidesSeats(t *testing.T) {
	w := newWorld(t, shape{gates: 4})
	reference := make([]ledger.Mark, ledger.MaxMarks)
	for i := range reference {
		reference[i] = ledger.Mark{Index: uint32(3 * i), Bits: uint16(0x4000 + 5*i)}
	}
	model, err := w.see().Model(t.Context(), w.model)
	if err != nil {
		t.Fatal(err)
	}
	model.SelfTest = reference
	if err := w.l.Govern(&ledger.SetModel{ID: w.model, Model: model}); err != nil {
		t.Fatal(err)
	}
	changed := func(n int, by uint16) []ledger.Mark {
		m := slices.Clone(reference)
		for i := range n {
			m[i].Bits += by
		}
		return m
	}
	tests := [][]ledger.Mark{
		changed(0, 0),                 // to the bit
		changed(ledger.MaxMarks, 3),   // other kernels
		changed(ledger.MaxMarks, 128), // another exponent
		nil,
	}
	seated := func() (in []bool) {
		seats, err := w.see().Committee(t.Context(), w.l.Clock().Epoch, w.model)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range w.gates {
			in = append(in, slices.ContainsFunc(seats, func(s ledger.Seat) bool { return s.Peer == g.key }))
		}
		return in
	}
	turn := func() {
		t.Helper()
		epoch := w.l.Clock().Epoch
		for i, g := range w.gates {
			w.do(g, &ledger.Heartbeat{Epoch: epoch}) // the test may come later
			w.do(g, &ledger.Heartbeat{Epoch: epoch, Tests: []ledger.SelfTest{{Model: ledger.Hash{99}, Marks: reference}, {Model: w.model, Marks: tests[i]}}})
		}
		if err := w.l.NextEpoch(); err != nil {
			t.Fatal(err)
		}
	}
	turn()
	if got := seated(); slices.Contains(got, false) {
		t.Errorf("seats %v when nobody could have heard of the test", got)
	}
	turn()
	if got := seated(); !slices.Equal(got, []bool{true, true, false, false}) {
		t.Errorf("seats %v", got)
	}
	tests[3] = reference
	turn()
	if got := seated(); !slices.Equal(got, []bool{true, true, false, true}) {
		t.Errorf("seats %v", got)
	}
	w.audit()
}

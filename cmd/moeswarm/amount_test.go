package main

import (
	"math/rand/v2"
	"testing"

	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/node"
)

func TestAmount(t *testing.T) {
	for s, want := range map[string]ledger.Amount{
		"1": ledger.Neuro, "1.5": 1_500_000_000, "0.000000001": 1, "7nneuro": 7, "12 NEURO": 12 * ledger.Neuro,
		"1000000000": ledger.MaxSupply, "0": 0,
	} {
		if got, err := parseAmount(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "1.", ".5", "1.0000000001", "1e3", "1,5", "1000000000.1", "99999999999999999999", "18446744074", "nneuro", "1.5nneuro"} {
		if got, err := parseAmount(s); err == nil {
			t.Errorf("%q was taken for %d", s, got)
		}
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		a := ledger.Amount(random.Uint64N(uint64(ledger.MaxSupply)))
		if got, err := parseAmount(a.String()); err != nil || got != a {
			t.Errorf("%v is read as %v: %v", a, got, err)
		}
	}
}

func TestPrices(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	models := []node.Model{{Name: "demo", Model: m}}
	e := &node.Economy{}
	if err := (ledgerFlags{prices: list{"0.5", "demo=7nneuro"}}).setPrices(e, models); err != nil || e.Price != ledger.Neuro/2 || e.Prices[m.ID()] != 7 {
		t.Errorf("%v %v, %v", e.Price, e.Prices, err)
	}
	for _, bad := range []string{"x", "other=1", "demo=", "=1"} {
		if err := (ledgerFlags{prices: list{bad}}).setPrices(&node.Economy{}, models); err == nil {
			t.Errorf("--price %q is taken", bad)
		}
	}
}

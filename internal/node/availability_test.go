package node

import (
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// TestAvailabilityEarnsEmission: without a single prompt, a holder whose experts
// answer what the seed draws has a reputation and a share of emission; one that
// says it holds them and lies has neither.
func TestAvailabilityEarnsEmission(t *testing.T) {
	p := newPaid(t, 1, func(g *state.Genesis) {
		g.Params.MinReports = 1
		g.Params.EmissionStart = uint64(100 * ledger.Neuro)
		g.Providers[ledger.KeyOf(actor(70))] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro}
	})
	p.misbehave = func(a expert.Applier) expert.Applier { return liar{a} }
	bad := p.start(actor(70), Model{Name: "tiny", Model: p.model, Hold: expert.SlotsOf(p.model.Manifest().IDs())}, 0)
	p.misbehave = nil
	view := ledger.View{Getter: p.gates[0].cfg.Economy.Ledger}
	money := func(k ledger.Key) ledger.Amount { return p.ledger.Money(state.Account{Key: k}) }
	p.until("both holders to be known", func() bool { return len(p.gates[0].net.Holders(p.model.Manifest().IDs()[9])) == 2 })
	p.nextEpoch() // from now on all holders are known when an epoch begins
	for range 6 {
		epoch := p.ledger.Clock().Epoch
		p.until("the holder's audit", func() bool {
			return p.gates[0].economy.tallies.audits(epoch, ledger.Hash(p.model.ID()), p.holder.economy.self) > 0
		})
		p.nextEpoch()
	}
	honest, err := view.Provider(t.Context(), p.holder.economy.self)
	if err != nil || honest.Rep < uint16(ledger.DefaultParams().StartRep) || money(p.holder.economy.self) == 0 {
		t.Errorf("the holder has a reputation of %d and %v, %v", honest.Rep, money(p.holder.economy.self), err)
	}
	liar, err := view.Provider(t.Context(), bad.economy.self)
	if err != nil || liar.Rep != 0 || money(bad.economy.self) != 0 {
		t.Errorf("the liar has a reputation of %d and %v, %v", liar.Rep, money(bad.economy.self), err)
	}
	if err := p.ledger.Audit(); err != nil {
		t.Error(err)
	}
}

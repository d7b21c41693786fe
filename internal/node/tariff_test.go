package node

import (
	"context"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

// modest tells the ledger a lower price than its node announces.
type modest struct{ ledger.Ledger }

func (m modest) Submit(ctx context.Context, msg ledger.Msg) (ledger.TxID, error) {
	if h, ok := msg.(*ledger.Heartbeat); ok {
		for i := range h.Tariffs {
			h.Tariffs[i].Price = testPrice
		}
	}
	return m.Ledger.Submit(ctx, msg)
}

// TestPriceStaysWithinTariff: clients pay a gating node that asks for three times
// what it tells the ledger no more than that, and are answered.
func TestPriceStaysWithinTariff(t *testing.T) {
	p := newPaid(t, 0, func(g *state.Genesis) {
		for id := range g.Models {
			g.Providers[ledger.KeyOf(actor(0))] = ledger.Provider{Roles: ledger.RoleGate, Gated: []ledger.Hash{id}, Bond: 1000 * ledger.Neuro}
		}
	})
	p.price, p.wrap = 3*testPrice, func(l ledger.Ledger) ledger.Ledger { return modest{l} }
	gate := p.start(actor(0), Model{Name: "tiny", Model: p.model, Gate: true}, 0)
	p.wrap, p.gates = nil, []*Node{gate}
	client := p.client(actor(100), deposit)
	r := p.request(40)
	want := p.alone(r)
	got, promptTokens, _, err := answerOf(t.Context(), client, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameTokens(t, got, want)
	spent, _ := client.economy.payer.Spent()
	p.until("the last voucher", func() bool { return p.promised() == spent })
	if least := ledger.Amount(promptTokens+len(got)) * testPrice; spent < least || spent > least+16*testPrice {
		t.Errorf("%d tokens cost %v, at %v each", promptTokens+len(got), spent, testPrice)
	}
}

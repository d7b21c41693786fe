package node

import (
	"context"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/internal/toll"
)

// generous is the ledger of a gating node that gives half of what a holder did to
// a friend, behind the back of its own program.
type generous struct {
	ledger.Ledger
	friend ledger.Key
}

func (g generous) Submit(ctx context.Context, m ledger.Msg) (ledger.TxID, error) {
	if s, ok := m.(*ledger.SettleEpoch); ok && s.Close && len(s.Leaves) == 1 {
		l := s.Leaves[0]
		s.Leaves = []ledger.Leaf{{Holder: l.Holder, Units: l.Units / 2, Passed: l.Passed}, {Holder: g.friend, Units: l.Units - l.Units/2}}
		root, _, err := ledger.Tree(s.Leaves)
		if err != nil {
			return ledger.TxID{}, err
		}
		s.Root = root
	}
	return g.Ledger.Submit(ctx, m)
}

// TestOverreportingGateLosesItsBond: a gating node reports units that nobody did,
// for a friend, and half of the holder's. The holder's node shows its receipt by
// itself, and the gate's bond pays what is missing and a tenth of the rest.
func TestOverreportingGateLosesItsBond(t *testing.T) {
	friend := ledger.KeyOf(actor(61))
	p := newPaid(t, 0, func(g *state.Genesis) {
		g.Params.DisputeBlocks = 2
		for id := range g.Models {
			g.Providers[ledger.KeyOf(actor(0))] = ledger.Provider{Roles: ledger.RoleGate, Gated: []ledger.Hash{id}, Bond: 1000 * ledger.Neuro, Tariffs: []ledger.Tariff{{Model: id, Price: testPrice}}}
		}
		g.Providers[friend] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro}
	})
	p.wrap = func(l ledger.Ledger) ledger.Ledger { return generous{l, friend} }
	gate := p.start(actor(0), Model{Name: "tiny", Model: p.model, Gate: true}, 0)
	p.wrap = nil
	p.gates = append(p.gates, gate)
	client := p.client(actor(100), deposit)
	r := p.request(64)
	want := p.alone(r)
	epoch := p.ledger.Clock().Epoch
	got, _, _, err := answerOf(t.Context(), client, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameTokens(t, got, want)
	view := ledger.View{Getter: client.cfg.Economy.Ledger}
	model := ledger.Hash(p.model.ID())
	p.until("the receipt for all of it", func() bool {
		gate.economy.credits.Flush()
		// Signatures come behind answers, so the gate's own count may be behind.
		return p.holder.economy.stub.Owed(gate.economy.self, model, epoch) == p.holder.net.Served()[gate.net.ID()].Rows
	})
	bond := func() ledger.Amount {
		v, err := view.Provider(t.Context(), gate.economy.self)
		if err != nil {
			t.Fatal(err)
		}
		return v.Bond
	}
	for range 5 {
		p.nextEpoch()
		for _, n := range []*Node{gate, p.holder} {
			p.dutiful(n)
		}
	}
	w, err := view.Work(t.Context(), epoch, model, gate.economy.self)
	if err != nil || !w.Closed || !w.Lied || w.Pool == 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	had, _, err := view.Claimed(t.Context(), epoch, model, gate.economy.self, p.holder.economy.self)
	if err != nil || had.Units != w.Root.Units {
		t.Errorf("the holder had %d units of %d, %v", had.Units, w.Root.Units, err)
	}
	short := had.Units - had.Units/2
	missing := ledger.Amount(ledger.MulDiv(uint64(w.Pool), short, w.Root.Units))
	stake := 1000*ledger.Neuro - missing
	if got, want := bond(), stake-stake/10; missing == 0 || got != want {
		t.Errorf("the gate has %d, want %d: %d were missing", got, want, missing)
	}
	if err := p.ledger.Audit(); err != nil {
		t.Error(err)
	}
}

// TestTwoSealsAreShown: a client's node that is given two signed parts for one
// place in an answer brings both to the ledger, and the gate loses a tenth.
func TestTwoSealsAreShown(t *testing.T) {
	p := newPaid(t, 1, nil, ledger.KeyOf(actor(100)))
	client := p.client(actor(100), deposit)
	gate := p.gates[0].economy.self
	bill := client.economy.payer.Open(gate, p.request(200), nil)
	first, err := bill.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seals := func() *toll.Seals {
		return &toll.Seals{Chain: p.ledger.Chain(), Gate: gate, Client: client.economy.self, Model: ledger.Hash(p.model.ID()), Salt: ledger.Salt(first)}
	}
	tokens := make([]int32, 2*ledger.ChunkTokens)
	sign := func(tokens []int32) []byte {
		var c ledger.Chunk
		if err := ledger.Decode(seals().Sign(0, tokens, false, p.ledger.Clock().Epoch, actor(0)), &c); err != nil {
			t.Fatal(err)
		}
		c.Fingerprint, c.Routing = ledger.Hash{1}, ledger.Hash{2}
		c = c.Sign(p.ledger.Chain(), actor(0))
		return ledger.Encode(&c)
	}
	if err := bill.Seal(sign(tokens[:ledger.ChunkTokens]), 0, tokens[:ledger.ChunkTokens]); err != nil {
		t.Fatal(err)
	}
	other := make([]int32, 2*ledger.ChunkTokens)
	other[0] = 7
	if err := bill.Seal(sign(other[:ledger.ChunkTokens]), 0, tokens); err == nil {
		t.Error("another first part is taken")
	}
	p.until("the slash", func() bool {
		v, err := client.cfg.Economy.Ledger.Provider(t.Context(), gate)
		return err == nil && v.Bond == 900*ledger.Neuro
	})
}

package mem_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

func person(i uint64) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("person"), i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// TestOneEpochIsPaid: a client deposits, its gate settles, gate and holder are
// paid what the formulas say, once.
func TestOneEpochIsPaid(t *testing.T) {
	model := ledger.Hash{1}
	client, gate, holder := person(1), person(2), person(3)
	c, g, h := ledger.KeyOf(client), ledger.KeyOf(gate), ledger.KeyOf(holder)
	params := ledger.DefaultParams()
	params.EpochBlocks, params.EmissionStart = 6, 0
	l, err := mem.New(mem.Config{
		Chain: "test-1",
		Genesis: state.Genesis{
			Params: params,
			Models: map[ledger.Hash]ledger.Model{model: {Active: true, Name: "demo"}},
			Providers: map[ledger.Key]ledger.Provider{
				g: {Roles: ledger.RoleGate, Gated: []ledger.Hash{model}, Bond: 1000 * ledger.Neuro},
				h: {Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro},
			},
		},
		Accounts: map[ledger.Key]ledger.Amount{c: 100 * ledger.Neuro},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	bank := l.As(c)
	if _, err := bank.Submit(ctx, &ledger.Deposit{Model: model, Amount: 40 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	beat := func() {
		if _, err := l.Deliver(g, &ledger.Heartbeat{Epoch: l.Clock().Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	beat()
	if err := l.NextEpoch(); err != nil {
		t.Fatal(err)
	}
	beat()
	e, err := bank.Escrow(ctx, c, model)
	if err != nil || e.Budget[0] != 10*ledger.Neuro {
		t.Fatalf("escrow %+v, %v", e, err)
	}
	seats, err := bank.Committee(ctx, 1, model)
	if err != nil || len(seats) != 1 || seats[0].Peer != g {
		t.Fatalf("committee %v, %v", seats, err)
	}
	v := ledger.Voucher{Client: c, Gate: g, Model: model, Epoch: 1, Tokens: 160, Cum: 4 * ledger.Neuro}.Sign(l.Chain(), client)
	if err := l.NextEpoch(); err != nil {
		t.Fatal(err)
	}
	leaves := []ledger.Leaf{{Holder: h, Units: 500, Passed: 2}}
	root, _, err := ledger.Tree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	settle := &ledger.SettleEpoch{Gate: g, Model: model, Epoch: 1, Tickets: []ledger.Ticket{ledger.TicketOf(v)}, Close: true, Root: root, Leaves: leaves}
	if _, err := l.As(g).Submit(ctx, settle); err != nil {
		t.Fatal(err)
	}
	s := ledger.SplitGross(4*ledger.Neuro, params)
	for k, want := range map[ledger.Key]ledger.Amount{g: s.Gate, h: s.Pool, c: 60 * ledger.Neuro} {
		if got, err := bank.Balance(ctx, k); err != nil || got != want {
			t.Errorf("balance %v, want %v (%v)", got, want, err)
		}
	}
	before := l.Hash()
	if _, err := l.As(g).Submit(ctx, settle); err == nil {
		t.Error("settled twice")
	}
	if l.Hash() != before {
		t.Error("a message that failed left something")
	}
	if supply, sum := l.Supply(); supply != sum || supply != 2100*ledger.Neuro-s.Burn {
		t.Errorf("supply %v, accounts %v", supply, sum)
	}
	p, err := bank.Provider(ctx, h)
	if err != nil || p.Served != 500 || p.Passed != 2 {
		t.Errorf("holder %+v, %v", p, err)
	}
}

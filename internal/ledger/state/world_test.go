package state_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

const chain = "test-1"

// someone is a person with a key.
type someone struct {
	private ed25519.PrivateKey
	key     ledger.Key
}

func person(name string, i int) someone {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), uint64(i)))
	p := ed25519.NewKeyFromSeed(seed[:])
	return someone{p, ledger.KeyOf(p)}
}

// world is a ledger with people on it.
type world struct {
	t       testing.TB
	l       *mem.Ledger
	params  ledger.Params
	model   ledger.Hash
	clients []someone
	gates   []someone
	holders []someone
}

// shape is what a world starts with.
type shape struct {
	clients, gates, holders int
	bond                    ledger.Amount
	change                  func(*ledger.Params)
}

// newWorld has clients with 1000 NEURO, and gates and holders with a bond and
// 100 NEURO beside it, all present in epoch 0.
func newWorld(t testing.TB, s shape) *world {
	t.Helper()
	w := &world{t: t, model: ledger.Hash{7}, params: ledger.DefaultParams()}
	w.params.EpochBlocks = 6
	w.params.CommitBlocks, w.params.RevealBlocks, w.params.AppealBlocks, w.params.DisputeBlocks = 4, 4, 4, 4
	w.params.ClaimEpochs, w.params.UnbondEpochs = 3, 6
	if s.change != nil {
		s.change(&w.params)
	}
	if s.bond == 0 {
		s.bond = 1000 * ledger.Neuro
	}
	g := state.Genesis{
		Params:    w.params,
		Models:    map[ledger.Hash]ledger.Model{w.model: {Active: true, Name: "demo"}},
		Providers: map[ledger.Key]ledger.Provider{},
	}
	accounts := map[ledger.Key]ledger.Amount{}
	people := func(name string, n int, money ledger.Amount) []someone {
		var all []someone
		for i := range n {
			p := person(name, i)
			accounts[p.key] = money
			all = append(all, p)
		}
		return all
	}
	w.clients = people("client", s.clients, 1000*ledger.Neuro)
	w.gates = people("gate", s.gates, 100*ledger.Neuro)
	w.holders = people("holder", s.holders, 100*ledger.Neuro)
	for _, p := range w.gates {
		g.Providers[p.key] = ledger.Provider{Roles: ledger.RoleGate | ledger.RoleHolder, Class: ledger.ClassB, Gated: []ledger.Hash{w.model}, Bond: s.bond}
	}
	for _, p := range w.holders {
		g.Providers[p.key] = ledger.Provider{Roles: ledger.RoleHolder, Class: ledger.ClassB, Bond: s.bond}
	}
	l, err := mem.New(mem.Config{Chain: chain, Genesis: g, Accounts: accounts})
	if err != nil {
		t.Fatal(err)
	}
	w.l = l
	return w
}

// do applies a message that must succeed.
func (w *world) do(p someone, m ledger.Msg) {
	w.t.Helper()
	if _, err := w.l.Deliver(p.key, m); err != nil {
		w.t.Fatalf("%T: %v", m, err)
	}
	w.audit()
}

// refuse applies a message that must fail, for a reason.
func (w *world) refuse(p someone, m ledger.Msg, reason error) {
	w.t.Helper()
	before := w.l.Hash()
	if _, err := w.l.Deliver(p.key, m); err == nil || !isAny(err, reason) {
		w.t.Fatalf("%T: %v, want %v", m, err, reason)
	}
	if w.l.Hash() != before {
		w.t.Fatalf("%T failed and left something", m)
	}
}

func (w *world) audit() {
	w.t.Helper()
	if err := w.l.Audit(); err != nil {
		w.t.Fatal(err)
	}
}

// ticks makes blocks, and everybody is there.
func (w *world) ticks(n int) {
	w.t.Helper()
	for range n {
		w.beats()
		if err := w.l.Tick(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.audit()
}

func (w *world) beats() {
	w.t.Helper()
	for _, p := range append(append([]someone(nil), w.gates...), w.holders...) {
		if _, err := w.l.Deliver(p.key, &ledger.Heartbeat{Epoch: w.l.Clock().Epoch}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// epoch gives everybody's heartbeat and goes to the next epoch.
func (w *world) epoch() {
	w.t.Helper()
	w.beats()
	if err := w.l.NextEpoch(); err != nil {
		w.t.Fatal(err)
	}
	w.audit()
}

func (w *world) see() ledger.View { return ledger.View{Getter: w.l.As(ledger.Key{})} }

func (w *world) balance(p someone) ledger.Amount {
	return w.l.Money(state.Account{Key: p.key})
}

func (w *world) provider(p someone) ledger.Provider {
	w.t.Helper()
	v, err := w.see().Provider(w.t.Context(), p.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// assigned are a client's gates in the epoch that runs.
func (w *world) assigned(c someone) []someone {
	w.t.Helper()
	ctx, epoch := w.t.Context(), w.l.Clock().Epoch
	seats, err := w.see().Committee(ctx, epoch, w.model)
	if err != nil {
		w.t.Fatal(err)
	}
	seed, err := w.see().Seed(ctx, epoch)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []someone
	for _, k := range ledger.Assigned(seed, c.key, seats) {
		for _, g := range w.gates {
			if g.key == k {
				all = append(all, g)
			}
		}
	}
	return all
}

func (w *world) voucher(c, gate someone, epoch uint64, session byte, cum ledger.Amount) ledger.Voucher {
	v := ledger.Voucher{Client: c.key, Gate: gate.key, Model: w.model, Epoch: epoch, Session: ledger.Session{session}, Tokens: uint64(cum / 1000), Cum: cum}
	return v.Sign(chain, c.private)
}

func (w *world) settlement(gate someone, epoch uint64, vouchers ...ledger.Voucher) *ledger.SettleEpoch {
	m := &ledger.SettleEpoch{Gate: gate.key, Model: w.model, Epoch: epoch}
	for _, v := range vouchers {
		m.Tickets = append(m.Tickets, ledger.TicketOf(v))
	}
	return m
}

func (w *world) closing(gate someone, epoch uint64, leaves []ledger.Leaf, vouchers ...ledger.Voucher) *ledger.SettleEpoch {
	w.t.Helper()
	m := w.settlement(gate, epoch, vouchers...)
	m.Close = true
	if len(leaves) > 0 {
		root, _, err := ledger.Tree(leaves)
		if err != nil {
			w.t.Fatal(err)
		}
		m.Root, m.Leaves = root, leaves
	}
	return m
}

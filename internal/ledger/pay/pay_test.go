package pay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
)

const chain = "test-1"

var (
	_ ledger.Purse = (*pay.Purse)(nil)
	_ ledger.Till  = (*pay.Till)(nil)
	_ ledger.Stub  = (*pay.Stub)(nil)
)

func person(i uint64) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("person"), i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// swarm is a ledger with one client, one gate and holders.
type swarm struct {
	t            *testing.T
	l            *mem.Ledger
	model        ledger.Hash
	client, gate ed25519.PrivateKey
	holders      []ed25519.PrivateKey
	dir          string
	now          time.Time
}

func newSwarm(t *testing.T, holders int) *swarm {
	s := &swarm{t: t, model: ledger.Hash{4}, client: person(0), gate: person(1), dir: t.TempDir(), now: time.Unix(1e9, 0)}
	params := ledger.DefaultParams()
	params.EpochBlocks, params.EmissionStart, params.DisputeBlocks = 6, 0, 4
	bond := 1_000_000 * ledger.Neuro
	g := state.Genesis{
		Params:    params,
		Models:    map[ledger.Hash]ledger.Model{s.model: {Active: true, Name: "demo"}},
		Providers: map[ledger.Key]ledger.Provider{ledger.KeyOf(s.gate): {Roles: ledger.RoleGate, Gated: []ledger.Hash{s.model}, Bond: bond}},
	}
	for i := range holders {
		h := person(uint64(100 + i))
		s.holders = append(s.holders, h)
		g.Providers[ledger.KeyOf(h)] = ledger.Provider{Roles: ledger.RoleHolder, Bond: 10_000 * ledger.Neuro}
	}
	l, err := mem.New(mem.Config{Chain: chain, Genesis: g, Accounts: map[ledger.Key]ledger.Amount{ledger.KeyOf(s.client): 1000 * ledger.Neuro}})
	if err != nil {
		t.Fatal(err)
	}
	s.l = l
	if _, err := l.Deliver(ledger.KeyOf(s.client), &ledger.Deposit{Model: s.model, Amount: 800 * ledger.Neuro}); err != nil {
		t.Fatal(err)
	}
	s.epoch()
	return s
}

func (s *swarm) epoch() {
	s.t.Helper()
	if _, err := s.l.Deliver(ledger.KeyOf(s.gate), &ledger.Heartbeat{Epoch: s.l.Clock().Epoch}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.l.NextEpoch(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.l.Audit(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *swarm) purse(file string, most ledger.Amount) *pay.Purse {
	s.t.Helper()
	p, err := pay.NewPurse(pay.PurseConfig{Path: filepath.Join(s.dir, file), Chain: chain, Key: s.client, MaxSpend: most})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.Close() })
	return p
}

func (s *swarm) till(file string) *pay.Till {
	s.t.Helper()
	till, err := pay.NewTill(pay.TillConfig{Path: filepath.Join(s.dir, file), Chain: chain, Key: s.gate, Ledger: s.l.As(ledger.KeyOf(s.gate)), Now: func() time.Time { return s.now }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { till.Close() })
	return till
}

func (s *swarm) stub(i int) *pay.Stub {
	s.t.Helper()
	k := ledger.KeyOf(s.holders[i])
	stub, err := pay.NewStub(pay.StubConfig{Path: filepath.Join(s.dir, "stub"+string(rune('a'+i))), Chain: chain, Holder: k, Ledger: s.l.As(k)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { stub.Close() })
	return stub
}

// crash copies a file as a crash would leave it.
func (s *swarm) crash(from, to string) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, from))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, to), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *swarm) due(session byte, epoch, tokens uint64, cum ledger.Amount) ledger.Due {
	return ledger.Due{Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: epoch, Session: ledger.Session{session}, Tokens: tokens, Cum: cum}
}

// balance is what somebody has.
func (s *swarm) balance(k ed25519.PrivateKey) ledger.Amount {
	return s.l.Money(state.Account{Key: ledger.KeyOf(k)})
}

// TestAnAnswerIsPaid from the first window to the balance of the holder, across
// a rotation, exact to the unit.
func TestAnAnswerIsPaid(t *testing.T) {
	s := newSwarm(t, 2)
	purse, till := s.purse("purse", 100*ledger.Neuro), s.till("till")
	stubs := []*pay.Stub{s.stub(0), s.stub(1)}
	ctx := t.Context()
	const price, window = 1_000_000, 16
	var accepted ledger.Amount
	for token := range uint64(256) {
		if token == 100 {
			s.epoch()
		}
		now := s.l.Clock().Epoch
		if token%window == 0 {
			tokens, cum := pay.Window(token, window, price)
			v, err := purse.Pay(ctx, s.due(1, now, tokens, cum))
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := till.Accept(ctx, v)
			if err != nil {
				t.Fatal(err)
			}
			accepted += fresh
			if accepted != cum {
				t.Fatalf("accepted %d of %d", accepted, cum)
			}
			if again, err := till.Accept(ctx, v); again != 0 || err != nil {
				t.Fatalf("a voucher again gives %d, %v", again, err)
			}
		}
		epoch, err := till.Seated(ctx, s.model)
		if err != nil || epoch != now {
			t.Fatalf("seated in %d, %v", epoch, err)
		}
		s.now = s.now.Add(30 * time.Millisecond)
		for i, stub := range stubs {
			r, err := till.Credit(epoch, ledger.KeyOf(s.holders[i]), s.model, uint64(8*(i+1)), 1)
			if err != nil {
				t.Fatal(err)
			}
			if r != nil {
				if err := stub.Keep(*r); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if accepted != 256*price || purse.Spent() != accepted {
		t.Errorf("256 tokens cost %d, the purse says %d", accepted, purse.Spent())
	}
	if err := till.Settle(ctx, 2); !errors.Is(err, ledger.ErrTooEarly) {
		t.Errorf("settled an epoch that runs: %v", err)
	}
	s.epoch()
	var pool, gates ledger.Amount
	for _, epoch := range till.Epochs() {
		split := ledger.SplitGross(till.Owed(epoch, s.model), params(s))
		pool, gates = pool+split.Pool, gates+split.Gate
		if err := till.Settle(ctx, epoch); err != nil {
			t.Fatal(err)
		}
		if err := till.Settle(ctx, epoch); err != nil {
			t.Fatalf("settling again: %v", err)
		}
	}
	if got := s.balance(s.gate); got != gates {
		t.Errorf("the gate has %d, want %d", got, gates)
	}
	if got := s.balance(s.holders[0]) + s.balance(s.holders[1]); got > pool || got+4 < pool {
		t.Errorf("the holders have %d of a pool of %d", got, pool)
	}
	for _, stub := range stubs {
		for _, epoch := range []uint64{1, 2} {
			if err := stub.Dispute(ctx, epoch); err != nil {
				t.Error(err)
			}
		}
		if left := stub.Receipts(); len(left) != 0 {
			t.Errorf("receipts are left: %v", left)
		}
	}
	if b := provider(s, s.gate).Bond; b != 1_000_000*ledger.Neuro {
		t.Errorf("an honest gate's bond is %v", b)
	}
}

func params(s *swarm) ledger.Params {
	s.t.Helper()
	p, err := s.l.As(ledger.Key{}).Params(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func provider(s *swarm, k ed25519.PrivateKey) ledger.Provider {
	s.t.Helper()
	p, err := s.l.As(ledger.Key{}).Provider(s.t.Context(), ledger.KeyOf(k))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// TestPurseNeverSpendsMore than its limit, however often it crashes: what it
// says it spent is never less than what it signed.
func TestPurseNeverSpendsMore(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := newSwarm(t, 0)
		const most = 10_000
		name := "purse"
		p := s.purse(name, most)
		var signed ledger.Amount
		for step := range 60 {
			due := s.due(byte(step), 1, 16, ledger.Amount(rng.IntN(400)))
			if _, err := p.Pay(t.Context(), due); err == nil {
				signed += due.Cum
			} else if !errors.Is(err, ledger.ErrCap) {
				t.Fatal(err)
			}
			if rng.IntN(5) == 0 {
				next := name + "x"
				s.crash(name, next)
				name, p = next, s.purse(next, most)
			}
			if p.Spent() < signed || signed > most {
				t.Fatalf("seed %d: signed %d, the purse says %d of %d", seed, signed, p.Spent(), most)
			}
		}
		if signed < most/2 {
			t.Errorf("seed %d: only %d of %d could be spent", seed, signed, most)
		}
	}
}

func TestPurseRefuses(t *testing.T) {
	s := newSwarm(t, 0)
	p := s.purse("purse", 1000)
	ctx := t.Context()
	a, err := p.Pay(ctx, s.due(1, 5, 16, 600))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Pay(ctx, s.due(1, 5, 16, 600)); err != nil || again != a {
		t.Errorf("the same due gives %+v, %v", again, err)
	}
	for reason, due := range map[error]ledger.Due{
		ledger.ErrMalformed: s.due(1, 5, 16, 599),
		ledger.ErrTooLate:   s.due(1, 4, 32, 700),
		ledger.ErrCap:       s.due(1, 5, 32, 1001),
	} {
		if _, err := p.Pay(ctx, due); !errors.Is(err, reason) {
			t.Errorf("%v, want %v", err, reason)
		}
	}
	b, err := p.Pay(ctx, s.due(1, 6, 32, 1000))
	if err != nil || b.Cum != 400 || b.Tokens != 16 || b.Epoch != 6 {
		t.Errorf("in the next epoch %+v, %v", b, err)
	}
}

func TestTillRefuses(t *testing.T) {
	s := newSwarm(t, 1)
	till, ctx := s.till("till"), t.Context()
	good := ledger.Voucher{Client: ledger.KeyOf(s.client), Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: 1, Cum: 50}
	change := func(f func(*ledger.Voucher)) ledger.Voucher {
		v := good
		f(&v)
		return v.Sign(chain, s.client)
	}
	budget := 200 * ledger.Neuro
	for _, c := range []struct {
		v    ledger.Voucher
		want error
	}{
		{good, ledger.ErrSignature},
		{good.Sign("test-2", s.client), ledger.ErrSignature},
		{change(func(v *ledger.Voucher) { v.Gate[0]++ }), ledger.ErrUnauthorized},
		{change(func(v *ledger.Voucher) { v.Model[0]++ }), ledger.ErrUnauthorized},
		{change(func(v *ledger.Voucher) { v.Epoch = 2 }), ledger.ErrTooLate},
		{change(func(v *ledger.Voucher) { v.Cum = budget + 1 }), ledger.ErrCap},
		{change(func(v *ledger.Voucher) { v.Cum = budget }), nil},
		{change(func(v *ledger.Voucher) { v.Session[0] = 9; v.Cum = 1 }), ledger.ErrCap},
	} {
		if _, err := till.Accept(ctx, c.v); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	other := person(77)
	poor := ledger.Voucher{Client: ledger.KeyOf(other), Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: 1, Cum: 1}.Sign(chain, other)
	if _, err := till.Accept(ctx, poor); !errors.Is(err, ledger.ErrCap) {
		t.Errorf("a client without escrow: %v", err)
	}
}

// TestTillSurvivesCrashes: at any moment the file alone settles no less than the
// receipts that holders have, and the vouchers of a second ago.
func TestTillSurvivesCrashes(t *testing.T) {
	s := newSwarm(t, 3)
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(1, 4))
	name := "till"
	till := s.till(name)
	stubs := []*pay.Stub{s.stub(0), s.stub(1), s.stub(2)}
	var cum ledger.Amount
	for step := range 400 {
		s.now = s.now.Add(60 * time.Millisecond)
		i := rng.IntN(3)
		r, err := till.Credit(1, ledger.KeyOf(s.holders[i]), s.model, rng.Uint64N(9000), 0)
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			if err := stubs[i].Keep(*r); err != nil {
				t.Fatal(err)
			}
		}
		cum += 1000
		v := ledger.Voucher{Client: ledger.KeyOf(s.client), Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: 1, Cum: cum}.Sign(chain, s.client)
		if _, err := till.Accept(ctx, v); err != nil {
			t.Fatal(err)
		}
		if step%50 == 49 {
			next := name + "x"
			s.crash(name, next)
			name, till = next, s.till(next)
		}
	}
	s.epoch()
	if err := till.Settle(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for i, stub := range stubs {
		if err := stub.Dispute(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if left := stub.Receipts(); len(left) != 0 {
			t.Errorf("holder %d was given %d units less than its receipt", i, left[0].Units)
		}
	}
	if b := provider(s, s.gate).Bond; b != 1_000_000*ledger.Neuro {
		t.Errorf("crashes cost the gate bond: %v", b)
	}
}

// TestManyHolders: more than ride along are paid by claims, also when the till
// crashes between closing and claiming.
func TestManyHolders(t *testing.T) {
	s := newSwarm(t, ledger.MaxLeaves+10)
	ctx := t.Context()
	v := ledger.Voucher{Client: ledger.KeyOf(s.client), Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: 1, Cum: 100 * ledger.Neuro}.Sign(chain, s.client)
	limited := &failing{Ledger: s.l.As(ledger.KeyOf(s.gate)), left: 20}
	crashing, err := pay.NewTill(pay.TillConfig{Path: filepath.Join(s.dir, "second"), Chain: chain, Key: s.gate, Ledger: limited})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crashing.Accept(ctx, v); err != nil {
		t.Fatal(err)
	}
	for i, h := range s.holders {
		if _, err := crashing.Credit(1, ledger.KeyOf(h), s.model, uint64(10+i), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.epoch()
	if err := crashing.Settle(ctx, 1); err == nil {
		t.Fatal("settled over a ledger that went away")
	}
	s.crash("second", "third")
	crashing.Close()
	again := s.till("third")
	if _, err := again.Credit(1, ledger.KeyOf(s.holders[0]), s.model, 1, 0); !errors.Is(err, ledger.ErrTooLate) {
		t.Errorf("credit while settling: %v", err)
	}
	if err := again.Settle(ctx, 1); err != nil {
		t.Fatal(err)
	}
	w, err := ledger.View{Getter: s.l.As(ledger.Key{})}.Work(ctx, 1, s.model, ledger.KeyOf(s.gate))
	if err != nil || w.Claimed != w.Root.Units || w.Left != 0 {
		t.Errorf("%d of %d units claimed, %d left (%v)", w.Claimed, w.Root.Units, w.Left, err)
	}
	for i, h := range s.holders {
		if s.balance(h) == 0 {
			t.Errorf("holder %d has nothing", i)
		}
	}
}

// failing is a ledger that goes away after so many messages.
type failing struct {
	ledger.Ledger
	left int
}

func (f *failing) Submit(ctx context.Context, m ledger.Msg) (ledger.TxID, error) {
	if f.left--; f.left < 0 {
		return ledger.TxID{}, errors.New("the ledger is gone")
	}
	return f.Ledger.Submit(ctx, m)
}

// TestStubDisputes: a gate that settles less than its receipt pays from its bond,
// and a silent one's receipts are shown in the last epoch that is left.
func TestStubDisputes(t *testing.T) {
	s := newSwarm(t, 2)
	ctx := t.Context()
	stub := s.stub(0)
	r := ledger.Receipt{Gate: ledger.KeyOf(s.gate), Holder: ledger.KeyOf(s.holders[0]), Model: s.model, Epoch: 1, Units: 500}
	if err := stub.Keep(r); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("a receipt without a signature: %v", err)
	}
	other := r
	other.Holder[0]++
	if err := stub.Keep(other.Sign(chain, s.gate)); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("somebody else's receipt: %v", err)
	}
	for _, units := range []uint64{500, 300} {
		r.Units = units
		if err := stub.Keep(r.Sign(chain, s.gate)); err != nil {
			t.Fatal(err)
		}
	}
	if got := stub.Owed(r.Gate, s.model, 1); got != 500 {
		t.Errorf("owed %d", got)
	}
	if err := stub.Dispute(ctx, 1); !errors.Is(err, ledger.ErrTooEarly) {
		t.Errorf("disputed an epoch that runs: %v", err)
	}
	s.epoch()
	v := ledger.Voucher{Client: ledger.KeyOf(s.client), Gate: ledger.KeyOf(s.gate), Model: s.model, Epoch: 1, Cum: 10 * ledger.Neuro}.Sign(chain, s.client)
	leaves := []ledger.Leaf{{Holder: ledger.KeyOf(s.holders[0]), Units: 400}, {Holder: ledger.KeyOf(s.holders[1]), Units: 600}}
	root, _, err := ledger.Tree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	m := &ledger.SettleEpoch{Gate: r.Gate, Model: s.model, Epoch: 1, Tickets: []ledger.Ticket{ledger.TicketOf(v)}, Close: true, Root: root, Leaves: leaves}
	if _, err := s.l.Deliver(r.Gate, m); err != nil {
		t.Fatal(err)
	}
	before := s.balance(s.holders[0])
	if err := stub.Dispute(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got := s.balance(s.holders[0]) - before; got < ledger.Share(ledger.SplitGross(10*ledger.Neuro, params(s)).Pool, 100, 1000) {
		t.Errorf("the dispute gave %v", got)
	}
	if err := stub.Dispute(ctx, 1); err != nil || len(stub.Receipts()) != 0 {
		t.Errorf("after it %v, %v", stub.Receipts(), err)
	}
}

// TestAudits: what audits may cost is a part of what may be spent, counted once
// for each answer and over restarts.
func TestAudits(t *testing.T) {
	s := newSwarm(t, 0)
	open := func() *pay.Purse {
		t.Helper()
		p, err := pay.NewPurse(pay.PurseConfig{Path: filepath.Join(s.dir, "audits"), Chain: chain, Key: s.client, MaxSpend: 1000, MaxAudits: 100})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	if _, err := p.Pay(t.Context(), s.due(1, 1, 16, 300)); err != nil {
		t.Fatal(err)
	}
	for i, fresh := range []ledger.Amount{60, 0} {
		v, got, err := p.PayAudit(t.Context(), s.due(2, 1, 16, 60))
		if err != nil || got != fresh || v.Cum != 60 {
			t.Errorf("the %d. time %v of %v: %v", i+1, got, v.Cum, err)
		}
	}
	if _, _, err := p.PayAudit(t.Context(), s.due(3, 1, 16, 41)); !errors.Is(err, ledger.ErrCap) {
		t.Errorf("more than there is for audits: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open()
	if p.Audits() != 60 || p.Spent() != 360 {
		t.Errorf("after a restart %v, %v of it for audits", p.Spent(), p.Audits())
	}
	if _, _, err := p.PayAudit(t.Context(), s.due(3, 1, 16, 41)); !errors.Is(err, ledger.ErrCap) {
		t.Errorf("more than there is for audits, after a restart: %v", err)
	}
	if _, err := p.Pay(t.Context(), s.due(4, 1, 16, 630)); err != nil {
		t.Errorf("what is left is for answers: %v", err)
	}
	if _, _, err := p.PayAudit(t.Context(), s.due(3, 1, 16, 20)); !errors.Is(err, ledger.ErrCap) {
		t.Errorf("more than there is at all: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

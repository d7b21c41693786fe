package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/mem"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/internal/toll"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// actor is somebody with a key.
func actor(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = b, 77
	return ed25519.NewKeyFromSeed(seed)
}

// paid is a swarm with a ledger in memory: gating nodes 0 to gates-1, a holder
// of all experts, and clients.
type paid struct {
	payWait time.Duration // of gating nodes that are started; 0: the usual
	price   ledger.Amount // of gating nodes that are started
	t       testing.TB
	model   *expert.Model
	ledger  *mem.Ledger
	gates   []*Node
	stops   []func()
	holder  *Node
	addrs   []string
	// misbehave is given to nodes that start now.
	misbehave func(expert.Applier) expert.Applier
	// asked is what gating nodes answer instead of what they are asked; nil: that.
	asked atomic.Pointer[func(prompt.Request) prompt.Request]
	// wrap is what nodes that start now see of the ledger; nil: all.
	wrap func(ledger.Ledger) ledger.Ledger
}

const (
	testPrice = 1000 * ledger.Amount(1)
	deposit   = 100 * ledger.Neuro
)

// newPaid starts so many gating nodes, whose seats are all on the committee
// unless change says otherwise. Rich have money besides clients.
func newPaid(t testing.TB, gates int, change func(*state.Genesis), rich ...ledger.Key) *paid {
	t.Helper()
	p := &paid{t: t, model: tiny(t), price: testPrice}
	id := ledger.Hash(p.model.ID())
	params := ledger.DefaultParams()
	params.EpochBlocks = 6
	params.EmissionStart, params.BonusBps = 0, 0 // what is earned is what was paid
	params.AuditBps = 0                          // and audits are paid, too
	g := state.Genesis{Params: params,
		Models: map[ledger.Hash]ledger.Model{id: {Active: true, Name: "tiny"}},
		Providers: map[ledger.Key]ledger.Provider{
			ledger.KeyOf(actor(50)): {Roles: ledger.RoleHolder, Bond: 1000 * ledger.Neuro},
		}}
	for i := range gates {
		g.Providers[ledger.KeyOf(actor(byte(i)))] = ledger.Provider{Roles: ledger.RoleGate, Gated: []ledger.Hash{id}, Bond: 1000 * ledger.Neuro, Tariffs: []ledger.Tariff{{Model: id, Price: testPrice}}}
	}
	if change != nil {
		change(&g)
	}
	var err error
	accounts := map[ledger.Key]ledger.Amount{}
	for c := byte(100); c < 110; c++ {
		accounts[ledger.KeyOf(actor(c))] = 1000 * ledger.Neuro
	}
	for _, k := range rich {
		accounts[k] = 1000 * ledger.Neuro
	}
	if p.ledger, err = mem.New(mem.Config{Chain: "node-test", Genesis: g, Accounts: accounts}); err != nil {
		t.Fatal(err)
	}
	p.holder = p.start(actor(50), Model{Name: "tiny", Model: p.model, Hold: expert.SlotsOf(p.model.Manifest().IDs())}, 0)
	for i := range gates {
		p.gates = append(p.gates, p.start(actor(byte(i)), Model{Name: "tiny", Model: p.model, Gate: true}, 0))
	}
	return p
}

// start runs a node of the swarm; a client has a model without a role.
func (p *paid) start(key ed25519.PrivateKey, m Model, maxSpend ledger.Amount) *Node {
	p.t.Helper()
	deceive := Cheat{Asked: func(r prompt.Request) prompt.Request {
		if f := p.asked.Load(); f != nil {
			return (*f)(r)
		}
		return r
	}}
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := Config{Key: key, Cheat: deceive, TemplateWorker: []string{self, templateWorker}, Join: p.addrs, Misbehave: p.misbehave, Routing: routing.Policy{MissingWait: 5 * time.Second}, Economy: &Economy{
		Ledger: p.ledger.As(ledger.KeyOf(key)), Chain: p.ledger.Chain(), Dir: p.t.TempDir(), MaxSpend: maxSpend, Price: p.price, lookPause: 20 * time.Millisecond, probePause: 5 * time.Millisecond, payWait: p.payWait}}
	if p.wrap != nil {
		cfg.Economy.Ledger = p.wrap(cfg.Economy.Ledger)
	}
	if m.Model != nil {
		cfg.Models = []Model{m}
	}
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	}
	p.t.Cleanup(stop)
	p.stops = append(p.stops, stop)
	select {
	case <-n.Ready():
	case <-time.After(20 * time.Second):
		p.t.Fatal("the node is not ready")
	}
	if p.addrs == nil {
		p.addrs = n.Addrs()
	}
	p.settled(n)
	return n
}

// settled waits until a node knows the ledger's epoch.
func (p *paid) settled(n *Node) {
	p.t.Helper()
	p.until("a node to know the epoch", func() bool {
		return n.economy.standing.params.Load() != nil && n.economy.standing.epoch.Load() == p.ledger.Clock().Epoch
	})
}

// until waits for something that is seen, not told.
func (p *paid) until(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(2 * time.Minute) // a busy machine is no failure
	for !ok() {
		select {
		case <-tick.C:
		case <-over:
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// client starts a node that holds nothing, with money for answers.
func (p *paid) client(key ed25519.PrivateKey, maxSpend ledger.Amount) *Node {
	p.t.Helper()
	if maxSpend > 0 {
		if _, err := p.ledger.Deliver(ledger.KeyOf(key), &ledger.Deposit{Model: ledger.Hash(p.model.ID()), Amount: deposit}); err != nil {
			p.t.Fatal(err)
		}
		p.nextEpoch()
	}
	n := p.start(key, Model{}, maxSpend)
	p.until("the gating nodes", func() bool { return len(n.net.Gates(p.model.ID())) >= len(p.gates) })
	for _, g := range p.gates {
		k, _ := swarm.PeerOf(g.economy.self)
		p.until("the price", func() bool { return n.net.Price(k, p.model.ID()) == uint64(p.price) })
	}
	return n
}

// dutiful waits until a node has done what it owes the ledger in this epoch.
func (p *paid) dutiful(n *Node) {
	p.t.Helper()
	epoch := p.ledger.Clock().Epoch
	p.until("the duties of the epoch", func() bool {
		n.economy.mu.Lock()
		defer n.economy.mu.Unlock()
		return n.economy.settled == epoch
	})
}

// nextEpoch has everybody give a heartbeat, gating nodes settle what is due, and
// turns the epoch.
func (p *paid) nextEpoch() {
	p.t.Helper()
	epoch := p.ledger.Clock().Epoch
	for i, n := range p.gates {
		if n == nil {
			continue
		}
		k := ledger.KeyOf(actor(byte(i)))
		p.until("a heartbeat", func() bool {
			v, err := n.cfg.Economy.Ledger.Provider(p.t.Context(), k)
			return err == nil && v.BeatIn(epoch)
		})
		p.dutiful(n)
	}
	if err := p.ledger.NextEpoch(); err != nil {
		p.t.Fatal(err)
	}
	for _, n := range append([]*Node{p.holder}, p.gates...) {
		if n != nil {
			p.settled(n)
		}
	}
}

// ticksTo makes blocks until a case is in a phase.
func (p *paid) ticksTo(what string, now func() ledger.Case, phase ledger.Phase) {
	p.t.Helper()
	for range 64 {
		if now().Phase >= phase {
			return
		}
		if err := p.ledger.Tick(); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Fatalf("no end of waiting for %s: %v", what, now().Phase)
}

// answer completes a prompt at a node, and calls at for each token.
func answerOf(ctx context.Context, n *Node, r prompt.Request, at func(i int, c prompt.Chunk)) (tokens []int32, promptTokens int, gates []string, err error) {
	for c, err := range n.entry.Complete(ctx, r) {
		if err != nil {
			return tokens, promptTokens, gates, err
		}
		promptTokens = c.PromptTokens
		if c.HasToken {
			tokens = append(tokens, c.Token)
			if len(gates) == 0 || gates[len(gates)-1] != c.Gate {
				gates = append(gates, c.Gate)
			}
			if at != nil {
				at(len(tokens), c)
			}
		}
	}
	return tokens, promptTokens, gates, nil
}

// alone is what one machine answers.
func (p *paid) alone(r prompt.Request) []int32 {
	p.t.Helper()
	n := running(p.t, Config{Models: []Model{{Name: "tiny", Model: p.model, Hold: expert.SlotsOf(p.model.Manifest().IDs()), Gate: true}}})
	tokens, _, _, err := answerOf(p.t.Context(), n, r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens
}

func (p *paid) request(n int) prompt.Request {
	return prompt.Request{Model: p.model.ID(), Text: "func main() { return }", MaxTokens: n}
}

// promised is what gating nodes have vouchers for.
func (p *paid) promised() (sum ledger.Amount) {
	for _, g := range p.gates {
		if g != nil {
			earned, _ := g.economy.gate.Earned()
			sum += earned
		}
	}
	return sum
}

// TestPaidAnswerCrossesRotations: an answer of 256 tokens over two new epochs is
// the single machine's, its vouchers are exact to the unit, it is signed, and
// what was promised is paid out to gate and holder on the ledger.
func TestPaidAnswerCrossesRotations(t *testing.T) {
	p := newPaid(t, 0, func(g *state.Genesis) { // gating nodes come below
		for id := range g.Models {
			for i := range byte(2) {
				g.Providers[ledger.KeyOf(actor(i))] = ledger.Provider{Roles: ledger.RoleGate, Gated: []ledger.Hash{id}, Bond: 1000 * ledger.Neuro, Tariffs: []ledger.Tariff{{Model: id, Price: testPrice}}}
			}
		}
	})
	// The client waits for epochs between two tokens, and pays only then.
	p.payWait = 2 * time.Minute
	for i := range byte(2) {
		p.gates = append(p.gates, p.start(actor(i), Model{Name: "tiny", Model: p.model, Gate: true}, 0))
	}
	client := p.client(actor(100), deposit)
	r := p.request(min(256, p.model.Shape().Context-64))
	want := p.alone(r)
	before := p.ledger.Clock().Epoch
	got, promptTokens, _, err := answerOf(t.Context(), client, r, func(i int, _ prompt.Chunk) {
		if i == r.MaxTokens/3 || i == 2*r.MaxTokens/3 {
			p.nextEpoch()
			p.settled(client)
		}
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v\n got %v\nwant %v", err, got, want)
	}
	if now := p.ledger.Clock().Epoch; now != before+2 {
		t.Fatalf("epoch %d after %d", now, before)
	}
	cost := ledger.Amount(promptTokens+len(got)) * testPrice
	spent, bought := client.economy.payer.Spent()
	p.until("the last voucher", func() bool { return p.promised() == spent })
	if spent != p.promised() || spent < cost || spent > cost+16*testPrice || spent%testPrice != 0 || bought != uint64(promptTokens+len(got)) {
		t.Errorf("promised %d, taken %d, %d tokens; the cost is %d", spent, p.promised(), bought, cost)
	}
	// All of it reaches the ledger once the epochs are over.
	for range 4 {
		p.nextEpoch()
		epoch := p.ledger.Clock().Epoch
		p.until("settlement", func() bool {
			for _, g := range p.gates {
				g.economy.mu.Lock()
				done := g.economy.settled == epoch
				g.economy.mu.Unlock()
				if !done {
					return false
				}
			}
			return true
		})
	}
	e, err := client.cfg.Economy.Ledger.Escrow(t.Context(), ledger.KeyOf(actor(100)), ledger.Hash(p.model.ID()))
	if err != nil || e.Balance != deposit-spent {
		t.Errorf("escrow %v of %v after %v was promised: %v", e.Balance, deposit, spent, err)
	}
	split := ledger.SplitGross(spent, ledger.DefaultParams())
	earned := func(k ledger.Key) ledger.Amount {
		v, err := client.cfg.Economy.Ledger.Provider(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return v.Earned
	}
	// Each epoch and gate is rounded by itself, and signatures come behind answers: of
	// an epoch in which none came in time the pool has no taker.
	view := ledger.View{Getter: client.cfg.Economy.Ledger}
	var pools, taken ledger.Amount
	for epoch := before; epoch <= p.ledger.Clock().Epoch; epoch++ {
		for _, g := range p.gates {
			w, err := view.Work(t.Context(), epoch, ledger.Hash(p.model.ID()), g.economy.self)
			if err != nil {
				t.Fatal(err)
			}
			if pools += w.Pool; w.Root.Units > 0 {
				taken += w.Pool
			}
		}
	}
	holder := earned(ledger.KeyOf(actor(50)))
	if pools > split.Pool+8 || pools+8 < split.Pool || holder > taken+8 || holder+8 < taken || taken == 0 {
		t.Errorf("the holder earned %d of pools of %d with work and %d in all, want %d", holder, taken, pools, split.Pool)
	}
	if supply, sum := p.ledger.Supply(); supply != sum {
		t.Errorf("supply %d, accounts %d", supply, sum)
	}
}

// TestGateDies: the next assigned gating node goes on with the answer.
func TestGateDies(t *testing.T) {
	p := newPaid(t, 2, nil)
	client := p.client(actor(101), deposit)
	r := p.request(min(96, p.model.Shape().Context-64))
	want := p.alone(r)
	killed := ""
	got, _, gates, err := answerOf(t.Context(), client, r, func(i int, c prompt.Chunk) {
		if i != 20 {
			return
		}
		killed = c.Gate
		for k, g := range p.gates {
			if g.ID() == c.Gate {
				go p.stops[1+k]() // the holder is the first
			}
		}
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v\n got %v\nwant %v", err, got, want)
	}
	if len(gates) == 0 || gates[0] != killed {
		t.Errorf("gates %v, killed %s", gates, killed)
	}
}

// TestOutsider: a gating node without a seat refuses strangers, and nobody
// sends it a prompt.
func TestOutsider(t *testing.T) {
	p := newPaid(t, 1, nil)
	outsider := p.start(actor(9), Model{Name: "tiny", Model: p.model, Gate: true}, 0)
	client := p.client(actor(102), 0)
	for range 3 {
		if _, _, gates, err := answerOf(t.Context(), client, p.request(8), nil); err != nil || len(gates) != 1 || gates[0] != p.gates[0].ID() {
			t.Fatalf("answered by %v, %v", gates, err)
		}
	}
	// Asked all the same, it refuses; and so does the asker.
	_, err := outsider.economy.Open(client.net.ID(), p.request(8), nil)
	if !errors.Is(err, prompt.ErrNotMember) {
		t.Errorf("the outsider: %v", err)
	}
	for _, err := range client.net.Remote(outsider.net.ID()).Complete(t.Context(), p.request(8)) {
		if !errors.Is(err, prompt.ErrNotMember) {
			t.Errorf("the client: %v", err)
		}
	}
}

// TestNewcomer: who has nothing has a free quota, then is told what to do; and
// who sets a limit is not charged past it.
func TestNewcomer(t *testing.T) {
	p := newPaid(t, 1, func(g *state.Genesis) { g.Params.FreeTokens = 100 })
	newcomer := p.client(actor(103), 0)
	if got, _, _, err := answerOf(t.Context(), newcomer, p.request(20), nil); err != nil || len(got) != 20 {
		t.Fatalf("%d tokens, %v", len(got), err)
	}
	if got, _, _, err := answerOf(t.Context(), newcomer, p.request(60), nil); !errors.Is(err, prompt.ErrUnpaid) || len(got) == 0 {
		t.Errorf("%d tokens, %v", len(got), err)
	}
	frugal := p.client(actor(104), 50*testPrice)
	got, _, _, err := answerOf(t.Context(), frugal, p.request(90), nil)
	if !errors.Is(err, prompt.ErrUnpaid) || !errors.Is(err, ledger.ErrCap) || len(got) == 0 || len(got) > 50 {
		t.Errorf("%d tokens for 50: %v", len(got), err)
	}
	if spent, _ := frugal.economy.payer.Spent(); spent > 50*testPrice {
		t.Errorf("%d spent", spent)
	}
}

// cheat pays what comes first and nothing more.
type cheat struct{ *toll.Bill }

func (cheat) Next(context.Context, int, int) ([]byte, error) { return nil, nil }
func (cheat) Last(context.Context, int, int) ([]byte, error) { return nil, nil }

// TestCheatIsCutOff: over a real connection, who stops paying has one window
// more than it paid for.
func TestCheatIsCutOff(t *testing.T) {
	p := newPaid(t, 1, nil)
	key := actor(105)
	if _, err := p.ledger.Deliver(ledger.KeyOf(key), &ledger.Deposit{Model: ledger.Hash(p.model.ID()), Amount: deposit}); err != nil {
		t.Fatal(err)
	}
	p.nextEpoch()
	purse, err := pay.NewPurse(pay.PurseConfig{Path: filepath.Join(t.TempDir(), "purse"), Chain: p.ledger.Chain(), Key: key, MaxSpend: deposit})
	if err != nil {
		t.Fatal(err)
	}
	defer purse.Close()
	payer := toll.NewPayer(toll.PayerConfig{Chain: p.ledger.Chain(), Self: ledger.KeyOf(key), Purse: purse,
		Price:  func(ledger.Key, ledger.Hash) ledger.Amount { return testPrice },
		Window: func() uint64 { return 16 }, Epoch: func() uint64 { return p.ledger.Clock().Epoch },
		Period: func(ledger.Key, ledger.Hash) (uint64, bool) { return p.ledger.Clock().Epoch, true }})
	n, err := swarm.New(swarm.Config{Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Join: p.addrs,
		Pay: func(_ routing.Peer, r prompt.Request, request []byte) (swarm.Payer, error) {
			return cheat{payer.Open(p.gates[0].economy.self, r, request)}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-n.Ready()
	p.until("the gating node", func() bool { return len(n.Gates(p.model.ID())) == 1 })
	r := p.request(90)
	tokens, promptTokens := 0, 0
	for c, e := range n.Remote(p.gates[0].net.ID()).Complete(ctx, r) {
		if err = e; e == nil && c.HasToken {
			tokens, promptTokens = tokens+1, c.PromptTokens
		}
	}
	paid := int(toll.Load(r)) + 16
	if most := paid + 16 - promptTokens; !errors.Is(err, prompt.ErrUnpaid) || tokens != max(most, 1) {
		t.Errorf("%d tokens after a prompt of %d, with %d paid: %v", tokens, promptTokens, paid, err)
	}
	if earned, _ := p.gates[0].economy.gate.Earned(); earned != ledger.Amount(paid)*testPrice {
		t.Errorf("%v taken", earned)
	}
}

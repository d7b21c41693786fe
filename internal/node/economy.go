package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/court"
	"github.com/moeswarm/moeswarm/internal/ledger/pay"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
	"github.com/moeswarm/moeswarm/internal/toll"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// Economy joins a node to a ledger: who gates is then the ledger's to say, and
// work is paid. The node's key is its account.
type Economy struct {
	Ledger ledger.Ledger
	Chain  string // its name
	// Dir is where what was promised and what is owed is kept.
	Dir string
	// MaxSpend is all that may be promised for answers, ever, with this Dir; 0:
	// nothing is paid, and free quotas must do.
	MaxSpend ledger.Amount
	// MaxAudits is how much of it may be promised for audits of answers; 0: a
	// twentieth.
	MaxAudits ledger.Amount
	// Price of a token gated here, in the unit of the ledger.
	Price ledger.Amount
	// Prices are those of models that cost something else.
	Prices map[expert.ModelID]ledger.Amount
	// Free is how many tokens all clients that pay nothing have together in an
	// epoch, at this node; 0: 64 times what one of them has.
	Free uint64
	// MaxTranscripts bounds what is kept in Dir of answers given to others, for
	// audits, in bytes; 0: 4 GiB. When it is full nobody is answered until older
	// ones are past their audits.
	MaxTranscripts int64
	// lookPause is the time between the first tries to have a transcript shown; 0:
	// showPause. Tests have less.
	lookPause time.Duration
	// payWait is how long a payment that is due may take; 0: the usual, see
	// [toll.GateConfig]. Tests that hold an answer up have more.
	payWait time.Duration
	// probePause is the longest pause between looks at two holders; 0: two seconds.
	probePause time.Duration
	// Name and Team are shown where work is listed.
	Name, Team string
}

// price is what a token of a model costs here.
func (c Economy) price(model expert.ModelID) ledger.Amount {
	if p, ok := c.Prices[model]; ok {
		return p
	}
	return c.Price
}

// auditShare is which part of what may be spent may be spent on audits, unless it
// is said: five times what one answer in a hundred costs.
const auditShare = 20

func (c Economy) maxAudits() ledger.Amount {
	if c.MaxAudits > 0 {
		return c.MaxAudits
	}
	return c.MaxSpend / auditShare
}

// showPause is the time after so many tries.
func (c Economy) showPause(tries int) time.Duration {
	first := showPause
	if c.lookPause > 0 {
		first = c.lookPause
	}
	return first << (2 * (tries - 1))
}

func (c Economy) pauseOfProbes() time.Duration {
	if c.probePause > 0 {
		return c.probePause
	}
	return probePause
}

const (
	// lookEvery is how often the ledger is asked for a new epoch, besides what it
	// tells by itself.
	lookEvery = 10 * time.Second
	// freeClients is how many free quotas a gating node has at most.
	freeClients = 64
	// defaultWindow and defaultFree hold until the parameters are read.
	defaultWindow, defaultFree = 16, 2000
)

// economy is a node's part in it.
type economy struct {
	cfg      Economy
	node     *Node
	self     ledger.Key
	key      ed25519.PrivateKey
	standing *standing
	clerk    *court.Clerk
	results  court.Results
	tallies  *tallies
	samples  *samples
	caller   routing.Caller // through which this node's work goes
	netsIn   uint64         // the last epoch in which networks were told; run's
	payer    *toll.Payer
	gate     *toll.Gate
	credits  *toll.Credits
	debts    *toll.Debts
	purse    *pay.Purse // nil: nothing is paid
	till     *pay.Till
	stub     *pay.Stub
	archive  *transcript.Archive
	outputs  *outputs
	tested   map[ledger.Hash]uint64 // models whose self-test was looked at, by epoch + 1; of duties alone
	keys     keys
	closing  sync.Once
	board    board

	mu      sync.Mutex
	backed  map[ledger.Key]backing
	accused map[ledger.Key]bool // of lying, since the node began
	trouble string              // of the last look or message, for people
	balance ledger.Amount
	own     ledger.Provider
	settled uint64 // epochs before this one are settled
}

// backing is whether a bond stands behind a gating node, as of an epoch, and whose
// team it is in.
type backing struct {
	epoch uint64
	ok    bool
	team  string
}

// newEconomy opens the books in cfg.Dir; close gives them back.
func newEconomy(n *Node, cfg Economy, key ed25519.PrivateKey) (_ *economy, err error) {
	e := &economy{cfg: cfg, node: n, self: ledger.KeyOf(key), key: key, tallies: newTallies(), samples: newSamples(), accused: map[ledger.Key]bool{}, standing: newStanding(cfg.Ledger, n.cfg.Log), backed: map[ledger.Key]backing{}, tested: map[ledger.Hash]uint64{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("the books of what is paid: %w", errors.Join(err, e.close()))
		}
	}()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	var purse ledger.Purse // nil unless there is one
	var audits toll.AuditPurse
	if cfg.MaxSpend > 0 {
		if e.purse, err = pay.NewPurse(pay.PurseConfig{Path: filepath.Join(cfg.Dir, "purse.db"), Chain: cfg.Chain, Key: key, MaxSpend: cfg.MaxSpend, MaxAudits: cfg.maxAudits()}); err != nil {
			return nil, err
		}
		purse, audits = e.purse, e.purse
	}
	seen := seenChain{cfg.Ledger, e.standing}
	if e.till, err = pay.NewTill(pay.TillConfig{Path: filepath.Join(cfg.Dir, "till.db"), Chain: cfg.Chain, Key: key, Ledger: seen}); err != nil {
		return nil, err
	}
	if e.stub, err = pay.NewStub(pay.StubConfig{Path: filepath.Join(cfg.Dir, "stub.db"), Chain: cfg.Chain, Holder: e.self, Ledger: seen}); err != nil {
		return nil, err
	}
	if e.archive, err = transcript.OpenArchive(filepath.Join(cfg.Dir, "transcripts"), cfg.MaxTranscripts); err != nil {
		return nil, err
	}
	proofs, err := transcript.OpenProofs(filepath.Join(cfg.Dir, "answers"))
	if err != nil {
		return nil, err
	}
	e.outputs = newOutputs(e, proofs)
	if err := e.newClerk(); err != nil {
		return nil, err
	}
	window := func() uint64 {
		return e.standing.param(func(p *ledger.Params) uint64 { return p.VoucherTokens }, defaultWindow)
	}
	free := func() uint64 {
		return e.standing.param(func(p *ledger.Params) uint64 { return p.FreeTokens }, defaultFree)
	}
	e.payer = toll.NewPayer(toll.PayerConfig{
		Chain: cfg.Chain, Self: e.self, Purse: purse, Audits: audits, Window: window, Epoch: e.standing.epoch.Load, Keep: e.outputs.keep, Twice: e.twiceSealed,
		Period: func(gate ledger.Key, model ledger.Hash) (uint64, bool) { return e.standing.period(gate, e.self, model) },
		Price: func(gate ledger.Key, model ledger.Hash) ledger.Amount {
			p, err := swarm.PeerOf(gate)
			if err != nil {
				return 0
			}
			return e.standing.within(gate, model, ledger.Amount(n.net.Price(p, expert.ModelID(model))))
		},
	})
	e.gate = toll.NewGate(toll.GateConfig{
		Chain: cfg.Chain, Key: key, Till: e.till, Wait: cfg.payWait, Archive: e.archive, Window: window, Free: free, Epoch: e.standing.epoch.Load,
		Look: func(ctx context.Context) { _, _ = e.standing.look(ctx) },
		FreeAll: func() uint64 {
			if cfg.Free > 0 {
				return cfg.Free
			}
			return freeClients * free()
		},
		Price: func(model ledger.Hash) ledger.Amount {
			return e.standing.within(e.self, model, cfg.price(expert.ModelID(model)))
		},
		Member: func(client ledger.Key, model ledger.Hash) error {
			return e.standing.gatesFor(context.Background(), e.self, client, model)
		},
	})
	e.credits = toll.NewCredits(toll.CreditsConfig{Till: e.till, Period: func(model ledger.Hash) uint64 { return e.standing.seated(e.self, model) }, Log: n.cfg.Log, Send: func(holder ledger.Key, receipt []byte) bool {
		p, err := swarm.PeerOf(holder)
		return err == nil && n.net.Acknowledge(p, receipt)
	}})
	e.debts = toll.NewDebts(toll.DebtsConfig{Self: e.self, Stub: e.stub, Backed: e.hasBond})
	return e, nil
}

// close gives the books back.
func (e *economy) close() error {
	if e == nil {
		return nil
	}
	var errs []error
	e.closing.Do(func() { errs = e.closeBooks() })
	return errors.Join(errs...)
}

func (e *economy) closeBooks() (errs []error) {
	if e.purse != nil {
		errs = append(errs, e.purse.Close())
	}
	if e.till != nil {
		errs = append(errs, e.till.Close())
	}
	if e.stub != nil {
		errs = append(errs, e.stub.Close())
	}
	return errs
}

// seenChain is a ledger whose clock, seeds and committees were read before, so
// that money is taken without asking it.
type seenChain struct {
	ledger.Ledger
	standing *standing
}

func (c seenChain) Clock(ctx context.Context) (ledger.Clock, error) {
	if k := c.standing.clock.Load(); k != nil {
		return *k, nil
	}
	return c.Ledger.Clock(ctx)
}

func (c seenChain) Seed(ctx context.Context, epoch uint64) (ledger.Hash, error) {
	c.standing.mu.Lock()
	seed, ok := c.standing.seeds[epoch]
	c.standing.mu.Unlock()
	if ok {
		return seed, nil
	}
	return c.Ledger.Seed(ctx, epoch)
}

func (c seenChain) Committee(ctx context.Context, epoch uint64, model ledger.Hash) ([]ledger.Seat, error) {
	seats, _, err := c.standing.seats(ctx, epoch, model)
	return seats, err
}

// hasBond reports whether a gating node has the bond that its receipts are
// claims on. It is read once an epoch.
func (e *economy) hasBond(k ledger.Key) bool {
	epoch := e.standing.epoch.Load()
	e.mu.Lock()
	b, known := e.backed[k]
	e.mu.Unlock()
	if known && b.epoch == epoch {
		return b.ok
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	p, err := e.cfg.Ledger.Provider(ctx, k)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) {
		return known && b.ok // the ledger cannot be read: as it was
	}
	least := e.standing.param(func(p *ledger.Params) uint64 { return p.MinGateBond }, 1)
	ok := err == nil && uint64(p.Bond) >= least && p.Jailed <= epoch
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.backed) >= maxBacked {
		clear(e.backed)
	}
	e.backed[k] = backing{epoch, ok, p.Team}
	return ok
}

// maxBacked bounds the gating nodes whose bonds are remembered.
const maxBacked = 4096

// Open implements swarm.Toll.
func (e *economy) Open(from routing.Peer, r prompt.Request, request []byte) (swarm.Tab, error) {
	k, err := swarm.KeyOf(from)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
	}
	t, err := e.gate.Open(k, r, request)
	if err != nil {
		return nil, err // not a nil tab in an interface
	}
	return t, nil
}

// pay makes the payer of an answer at a peer. Nothing is sent to one that is not
// among the gating nodes that the ledger gives this client.
func (e *economy) pay(to routing.Peer, r prompt.Request, request []byte) (swarm.Payer, error) {
	k, err := swarm.KeyOf(to)
	if err == nil {
		err = e.standing.gatesFor(context.Background(), k, e.self, ledger.Hash(r.Model))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", prompt.ErrNotMember, err)
	}
	return e.payer.Open(k, r, request), nil
}

// Admit, Served and Receipt implement swarm.Debts.
func (e *economy) Admit(from routing.Peer) error {
	k, err := e.keys.of(from)
	if err != nil {
		return fmt.Errorf("%w: %w", expert.ErrOverloaded, err)
	}
	return e.debts.Admit(k)
}

func (e *economy) Served(from routing.Peer, _ expert.ModelID, rows int) {
	if k, err := e.keys.of(from); err == nil {
		e.debts.Served(k, rows)
	}
}

func (e *economy) Receipt(from routing.Peer, statement []byte) error {
	k, err := swarm.KeyOf(from)
	if err != nil {
		return err
	}
	return e.debts.Receipt(k, statement)
}

// crediting counts what peers computed for this node, for their receipts.
type crediting struct {
	*swarm.Node
	credits *toll.Credits
	keys    *keys
	signed  bool     // only rows that were signed for count
	samples *samples // nil: none are kept
}

// keys remembers the keys in peers' names, which take a while to read.
type keys struct {
	mu    sync.Mutex
	known map[routing.Peer]ledger.Key
}

// maxKeys bounds the peers whose keys are remembered; then all are forgotten.
const maxKeys = 4096

func (k *keys) of(p routing.Peer) (ledger.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.known[p]; ok {
		return key, nil
	}
	key, err := swarm.KeyOf(p)
	if err != nil {
		return key, err
	}
	if k.known == nil || len(k.known) >= maxKeys {
		k.known = map[routing.Peer]ledger.Key{}
	}
	k.known[p] = key
	return key, nil
}

// Call implements routing.Caller.
func (c crediting) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	answer, err := c.Node.Call(ctx, to, a)
	c.note(to, a, answer, err)
	return answer, err
}

// Start implements routing.Starter.
func (c crediting) Start(ctx context.Context, to routing.Peer, a routing.Ask, done func(func() (routing.Answer, error))) (stop func(error)) {
	return c.Node.Start(ctx, to, a, func(read func() (routing.Answer, error)) {
		done(func() (routing.Answer, error) {
			answer, err := read()
			c.note(to, a, answer, err)
			return answer, err
		})
	})
}

// note counts an answer, once what the peer signs of it is there where that counts.
func (c crediting) note(to routing.Peer, a routing.Ask, answer routing.Answer, err error) {
	if err != nil || len(a.Calls) == 0 {
		return
	}
	c.samples.saw(to, a)
	if !c.signed || a.Sum {
		c.credit(to, ledger.Hash(a.Calls[0].Expert.Model), rowsOf(a.Calls))
		return
	}
	for _, s := range answer.Signed {
		model, rows := ledger.Hash(a.Calls[0].Expert.Model), rowsOf(a.Calls[s.First:s.First+s.Calls])
		s.Word.Then(func(err error) {
			if err == nil {
				c.credit(to, model, rows)
			}
		})
	}
}

// credit counts rows that a peer answered with.
func (c crediting) credit(to routing.Peer, model ledger.Hash, rows int) {
	if k, err := c.keys.of(to); err == nil {
		c.credits.Add(k, model, rows)
	}
}

// rowsOf is how many rows of output calls have.
func rowsOf(calls []expert.Call) (n int) {
	for _, c := range calls {
		n += len(c.Rows)
	}
	return n
}

// gates lists the peers that may be asked to complete a prompt: those that the
// ledger gives this node, the nearest first, those that nobody knows last.
func (e *economy) gates(known []routing.Peer, assigned []ledger.Key) []routing.Peer {
	var ours, far []routing.Peer
	for _, k := range assigned {
		if p, err := swarm.PeerOf(k); err == nil && k != e.self {
			ours = append(ours, p)
		}
	}
	near := slices.DeleteFunc(slices.Clone(known), func(p routing.Peer) bool { return !slices.Contains(ours, p) })
	for _, p := range ours {
		if !slices.Contains(near, p) {
			far = append(far, p)
		}
	}
	return append(near, far...)
}

// distrusting ends a session with a gating node that says it is not paid.
type distrusting struct {
	prompt.Completer
	economy *economy
	peer    routing.Peer
}

// Complete implements prompt.Completer.
func (d distrusting) Complete(ctx context.Context, r prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) {
		for c, err := range d.Completer.Complete(ctx, r) {
			if errors.Is(err, prompt.ErrUnpaid) {
				if k, err := swarm.KeyOf(d.peer); err == nil {
					d.economy.payer.Distrust(k, ledger.Hash(r.Model))
				}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

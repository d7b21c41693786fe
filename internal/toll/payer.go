package toll

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// PayerConfig is how a client pays.
type PayerConfig struct {
	Chain string
	Self  ledger.Key
	// Purse signs vouchers; nil: nothing is paid, and free quotas must do.
	Purse ledger.Purse
	// Audits pays for audits; nil: nothing does.
	Audits AuditPurse
	// Price is what a gating node announces for a token; 0: nothing.
	Price func(gate ledger.Key, model ledger.Hash) ledger.Amount
	// Window is how many tokens a voucher is for.
	Window func() uint64
	// Epoch is the ledger's.
	Epoch func() uint64
	// Period is the epoch in which a voucher for a gating node counts: the
	// present one, or the one before for one that only finishes what runs.
	// ok is false when the time for that is over, too.
	Period func(gate ledger.Key, model ledger.Hash) (epoch uint64, ok bool)
	// Keep takes what gating nodes signed of an answer that is over, and how many
	// tokens that is, with all that came before; nil: nobody.
	Keep func(signed []ledger.Chunk, tokens int)
	// Twice hears of a gating node that signed two things for one place in an
	// answer. It must not block; nil: nobody.
	Twice func(a, b ledger.Chunk)
}

// Payer pays gating nodes for answers.
type Payer struct {
	cfg PayerConfig

	spent, tokens atomic.Uint64

	mu    sync.Mutex
	lanes map[laneKey]*lane
}

type laneKey struct {
	gate  ledger.Key
	model ledger.Hash
}

// lane is one session with a gating node. Tokens count from its beginning.
type lane struct {
	session ledger.Session
	price   ledger.Amount
	paying  sync.Mutex // one payment at a time; before Payer.mu

	// Guarded by Payer.mu.
	running uint64 // answers
	used    uint64
	paid    uint64
}

// maxLanes bounds the sessions of a client; past it the idle ones are dropped,
// with what was paid ahead, a window each.
const maxLanes = 1024

// NewPayer makes a payer.
func NewPayer(cfg PayerConfig) *Payer {
	return &Payer{cfg: cfg, lanes: map[laneKey]*lane{}}
}

// Spent is what was promised in vouchers so far, and tokens that were used.
func (p *Payer) Spent() (ledger.Amount, uint64) {
	return ledger.Amount(p.spent.Load()), p.tokens.Load()
}

// Open begins the account of one answer at a gating node. request is r as it is
// sent there.
func (p *Payer) Open(gate ledger.Key, r prompt.Request, request []byte) *Bill {
	b := &Bill{payer: p, gate: gate, model: ledger.Hash(r.Model), load: Load(r), prefix: len(r.Prefix)}
	_, _ = rand.Read(b.salt[:]) // never fails
	b.seals = Seals{Chain: p.cfg.Chain, Gate: gate, Client: p.cfg.Self, Model: b.model, Salt: b.salt, Request: request, Exact: r.BestEffort == 0 && r.Task == prompt.TaskComplete, Twice: p.cfg.Twice}
	b.count = b.load
	price := ledger.Amount(0)
	if p.cfg.Purse != nil {
		price = p.cfg.Price(gate, b.model)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := laneKey{gate, b.model}
	l := p.lanes[key]
	if l == nil || l.price != price {
		if len(p.lanes) >= maxLanes {
			p.sweepLocked()
		}
		l = &lane{session: newSession(), price: price}
		p.lanes[key] = l
	}
	l.running++
	l.used += b.count
	b.lane = l
	return b
}

func (p *Payer) sweepLocked() {
	for k, l := range p.lanes {
		if l.running == 0 {
			delete(p.lanes, k)
		}
	}
}

// Distrust ends the session with a gating node that says it was not paid:
// the next answer there begins a new one.
func (p *Payer) Distrust(gate ledger.Key, model ledger.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.lanes, laneKey{gate, model})
}

// Bill is the account of one answer, at the client.
type Bill struct {
	payer  *Payer
	lane   *lane
	gate   ledger.Key
	model  ledger.Hash
	salt   ledger.Salt
	load   uint64
	prefix int
	count  uint64 // tokens of the answer in lane.used; guarded by payer.mu
	seals  Seals
	sealed atomic.Int64 // tokens that are signed
}

// First is what goes along with the prompt.
func (b *Bill) First(ctx context.Context) ([]byte, error) {
	if b.lane.price == 0 {
		return firstPayment(b.salt, nil), nil
	}
	v, err := b.pay(ctx)
	if err != nil {
		return nil, err
	}
	return firstPayment(b.salt, v), nil
}

// Next is what is due when so many tokens have come.
func (b *Bill) Next(ctx context.Context, promptTokens, tokens int) ([]byte, error) {
	if int64(tokens)-b.sealed.Load() > 2*ledger.ChunkTokens {
		return nil, fmt.Errorf("%w: the gating node does not sign its answer", prompt.ErrLost)
	}
	b.use(spent(b.load, b.prefix, promptTokens, tokens))
	if b.lane.price == 0 || !b.short() {
		return nil, nil
	}
	v, err := b.pay(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.Encode(v), nil
}

// Last is what is due at the end of an answer: what was used, no window ahead.
func (b *Bill) Last(ctx context.Context, promptTokens, tokens int) ([]byte, error) {
	b.use(spent(b.load, b.prefix, promptTokens, tokens))
	b.payer.mu.Lock()
	owes := b.lane.price > 0 && b.lane.paid < b.lane.used
	b.payer.mu.Unlock()
	if !owes {
		return nil, nil
	}
	v, err := b.payUp(ctx, 0)
	if err != nil {
		return nil, err
	}
	return ledger.Encode(v), nil
}

func (b *Bill) use(count uint64) {
	b.payer.mu.Lock()
	defer b.payer.mu.Unlock()
	b.lane.used += count
	b.lane.used -= b.count
	b.count = count
}

// short reports whether what was paid is used up, but for what other answers
// of the lane run on.
func (b *Bill) short() bool {
	b.payer.mu.Lock()
	defer b.payer.mu.Unlock()
	return b.lane.paid <= b.lane.used+(b.lane.running-1)*b.payer.cfg.Window()
}

// pay promises a window more than is used, for each answer that runs. With
// nothing due it repeats what was promised.
func (b *Bill) pay(ctx context.Context) (*ledger.Voucher, error) {
	return b.payUp(ctx, b.payer.cfg.Window())
}

// payUp promises what is used, and so much more for each answer that runs.
func (b *Bill) payUp(ctx context.Context, ahead uint64) (*ledger.Voucher, error) {
	p, l := b.payer, b.lane
	l.paying.Lock()
	defer l.paying.Unlock()
	epoch, ok := p.cfg.Period(b.gate, b.model)
	if !ok { // an answer that takes longer goes on elsewhere
		return nil, fmt.Errorf("%w: its seat has ended, and so has the epoch after, in which it finishes answers", prompt.ErrNotMember)
	}
	p.mu.Lock()
	before := l.paid
	upTo := max(before, l.used+l.running*ahead)
	p.mu.Unlock()
	due := ledger.Due{Gate: b.gate, Model: b.model, Epoch: epoch, Session: l.session, Tokens: upTo, Cum: l.price * ledger.Amount(upTo)}
	v, err := p.cfg.Purse.Pay(ctx, due)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
	}
	p.mu.Lock()
	l.paid = upTo
	p.mu.Unlock()
	p.spent.Add(uint64(l.price) * (upTo - before))
	return &v, nil
}

// Seal takes what the gating node signed about the tokens so far.
func (b *Bill) Seal(statement []byte, promptTokens int, tokens []int32) error {
	if err := b.seals.Take(statement, promptTokens+b.prefix, tokens, b.payer.cfg.Epoch()); err != nil {
		return err
	}
	b.sealed.Store(int64(len(tokens)))
	return nil
}

// Close ends the account; the answer had so many tokens.
func (b *Bill) Close(promptTokens, tokens int) {
	b.use(uint64(max(0, promptTokens) + b.prefix + tokens))
	b.payer.tokens.Add(uint64(max(0, promptTokens) + tokens))
	b.payer.mu.Lock()
	b.lane.running--
	b.payer.mu.Unlock()
	if keep := b.payer.cfg.Keep; keep != nil && len(b.seals.Signed()) > 0 {
		keep(b.seals.Signed(), max(0, promptTokens)+b.prefix+int(b.sealed.Load()))
	}
}

package toll

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/transcript"
)

// GateConfig is how a gating node is paid.
type GateConfig struct {
	Chain string
	Key   ed25519.PrivateKey
	Till  ledger.Till
	// Member says why this node does not gate a model for a client now; nil: it
	// does. The error wraps prompt.ErrNotMember.
	Member func(client ledger.Key, model ledger.Hash) error
	// Price of a token; 0: nothing is paid.
	Price func(model ledger.Hash) ledger.Amount
	// Window is how many tokens a voucher is for.
	Window func() uint64
	// Free is how many tokens a client that pays nothing has in an epoch.
	Free func() uint64
	// FreeAll is how many all those clients have together, since whoever wants
	// can be many.
	FreeAll func() uint64
	// Epoch is the ledger's.
	Epoch func() uint64
	// Look reads the ledger's epoch, when a client knows of a newer one.
	Look func(ctx context.Context)
	// Archive keeps what answers are checked by later; nil: only their tokens are
	// signed.
	Archive Archive
	// Wait is how long a payment that is due may take; 0: 5 s, several round
	// trips of a poor line.
	Wait time.Duration
}

// Archive keeps the transcripts of answers. *transcript.Archive is one.
type Archive interface {
	// Begin fails where there is an answer of this name already, or no room.
	Begin(n transcript.Name, epoch uint64) error
	// Append keeps the last part of an answer before its signature goes out.
	Append(n transcript.Name, t *transcript.Transcript) error
	// End says that there are no more.
	End(n transcript.Name) error
}

const (
	defaultWait = 5 * time.Second
	// badWindows is how many windows a client may have left unpaid, over all its
	// answers, before it is answered no more in the epoch. Answers that are
	// broken off leave some of one.
	badWindows = 4
	// maxClients bounds the clients that are remembered. Past it those that have
	// no answer running are forgotten.
	maxClients = 8192
	// maxSessions bounds a client's sessions.
	maxSessions = 64
)

// Gate keeps the accounts of a gating node's clients.
type Gate struct {
	cfg    GateConfig
	self   ledger.Key
	earned atomic.Uint64 // vouchers' worth
	tokens atomic.Uint64 // given to others

	mu      sync.Mutex
	epoch   uint64 // of the free quotas
	freeAll uint64 // used of all free quotas
	clients map[ledger.Key]*client
}

// client is one client's accounts; all is guarded by Gate.mu.
type client struct {
	running  int
	freeUsed uint64
	bad      uint64 // tokens left unpaid
	sessions map[ledger.Session]*session
}

// session is a lane, at the gating node.
type session struct {
	price   ledger.Amount
	money   ledger.Amount // paid
	used    uint64
	running uint64
	bad     uint64 // left unpaid by answers that ended, and not in used any more
}

func (s *session) paid() uint64 { return uint64(s.money / max(s.price, 1)) }

// NewGate makes the accounts.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Wait <= 0 {
		cfg.Wait = defaultWait
	}
	return &Gate{cfg: cfg, self: ledger.KeyOf(cfg.Key), clients: map[ledger.Key]*client{}}
}

// Earned is what vouchers were worth so far, and tokens given to others.
func (g *Gate) Earned() (ledger.Amount, uint64) {
	return ledger.Amount(g.earned.Load()), g.tokens.Load()
}

// Open begins the account of one answer, or says why there will be none. request
// is r as the client sent it; it is kept, not copied.
func (g *Gate) Open(from ledger.Key, r prompt.Request, request []byte) (*Tab, error) {
	model := ledger.Hash(r.Model)
	if len(request) > transcript.MaxRequest {
		return nil, fmt.Errorf("%w: a request of %d bytes, at most %d can be signed for", prompt.ErrBadRequest, len(request), transcript.MaxRequest)
	}
	if err := g.cfg.Member(from, model); err != nil {
		return nil, err
	}
	t := &Tab{gate: g, from: from, model: model, request: request, load: Load(r), prefix: len(r.Prefix), moved: make(chan struct{}, 1), price: g.cfg.Price(model)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnLocked()
	c := g.clientLocked(from)
	if owed := c.bad; owed > badWindows*g.cfg.Window() {
		return nil, fmt.Errorf("%w: %d tokens of earlier answers were left unpaid; come back in the next epoch", prompt.ErrUnpaid, owed)
	}
	c.running++
	t.client = c
	return t, nil
}

// clientLocked is a client's accounts, which begin now if there are none.
func (g *Gate) clientLocked(from ledger.Key) *client {
	c := g.clients[from]
	if c == nil {
		if len(g.clients) >= maxClients {
			g.sweepLocked()
		}
		c = &client{sessions: map[ledger.Session]*session{}}
		g.clients[from] = c
	}
	return c
}

// turnLocked begins the quotas of a new epoch.
func (g *Gate) turnLocked() {
	if e := g.cfg.Epoch(); e != g.epoch {
		g.epoch, g.freeAll = e, 0
		for _, c := range g.clients {
			c.freeUsed, c.bad = 0, 0
		}
		g.sweepLocked()
	}
}

// sweepLocked forgets clients without an answer or money here.
func (g *Gate) sweepLocked() {
	full := len(g.clients) >= maxClients
	for k, c := range g.clients {
		if c.running == 0 && (full || len(c.sessions) == 0 && c.freeUsed == 0 && c.bad == 0) {
			delete(g.clients, k)
		}
	}
}

// Tab is the account of one answer, at the gating node.
type Tab struct {
	gate    *Gate
	client  *client
	from    ledger.Key
	model   ledger.Hash
	price   ledger.Amount
	request []byte
	load    uint64
	prefix  int
	moved   chan struct{} // something was paid; room for 1

	tokens []int32 // given; of the goroutine that gives, as are seals and writer
	seals  Seals
	writer *transcript.Writer // nil: nothing says yet what led to the tokens

	archived bool // of the goroutine that pays, and of Close after it

	// Guarded by gate.mu.
	began   bool // the first payment came
	free    bool // and nothing more will
	session *session
	count   uint64 // in session.used, or in client.freeUsed
}

// Pay takes a payment.
func (t *Tab) Pay(b []byte) error {
	var v *ledger.Voucher
	t.gate.mu.Lock()
	began := t.began
	t.gate.mu.Unlock()
	if !began {
		salt, first, err := parseFirst(b)
		if err != nil {
			return fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
		}
		t.seals = Seals{Chain: t.gate.cfg.Chain, Gate: t.gate.self, Client: t.from, Model: t.model, Salt: salt, Request: t.request}
		if a := t.gate.cfg.Archive; a != nil {
			if err := a.Begin(t.name(), t.gate.cfg.Epoch()); errors.Is(err, transcript.ErrFull) {
				return &prompt.BusyError{Detail: err.Error()}
			} else if err != nil {
				return fmt.Errorf("%w: %w", prompt.ErrBadRequest, err)
			}
			t.archived = true
		}
		v = first
	} else {
		v = new(ledger.Voucher)
		if err := ledger.Decode(b, v); err != nil {
			return fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
		}
	}
	var fresh ledger.Amount
	if v != nil {
		if v.Client != t.from || v.Gate != t.gate.self || v.Model != t.model {
			return fmt.Errorf("%w: a voucher of somebody else, for somebody else or for another model", prompt.ErrUnpaid)
		}
		if price := t.priceOf(v.Session); price > 0 && v.Tokens < uint64(v.Cum/price) {
			// The tokens of vouchers say how many units of holders they pay for; for
			// more this node would have to.
			return fmt.Errorf("%w: a voucher of %v for %d tokens of %v each", prompt.ErrUnpaid, v.Cum, v.Tokens, price)
		}
		ctx, cancel := context.WithTimeout(context.Background(), t.gate.cfg.Wait)
		defer cancel()
		t.gate.turn(ctx, v.Epoch)
		var err error
		if fresh, err = t.gate.cfg.Till.Accept(ctx, *v); err != nil {
			return fmt.Errorf("%w: %w", prompt.ErrUnpaid, err)
		}
		t.gate.earned.Add(uint64(fresh))
	}
	if err := t.book(v, fresh); err != nil {
		return err
	}
	select {
	case t.moved <- struct{}{}:
	default:
	}
	return nil
}

// priceOf is what a token of a session costs: as it was when the session began.
func (t *Tab) priceOf(s ledger.Session) ledger.Amount {
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	if known := t.client.sessions[s]; known != nil {
		return known.price
	}
	return t.price
}

// turn waits until this node knows of an epoch that a client knows of: what can
// be proved to one of them may be some moments late at the other.
func (g *Gate) turn(ctx context.Context, epoch uint64) {
	for now := g.cfg.Epoch(); epoch == now+1 && g.cfg.Look != nil; now = g.cfg.Epoch() {
		g.cfg.Look(ctx)
		if g.cfg.Epoch() >= epoch {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookAgain):
		}
	}
}

// lookAgain is the pause between looks for an epoch.
const lookAgain = 200 * time.Millisecond

// book writes a payment down.
func (t *Tab) book(v *ledger.Voucher, fresh ledger.Amount) error {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if v == nil {
		t.began, t.free = true, true
		return nil
	}
	s := t.client.sessions[v.Session]
	if s == nil {
		if len(t.client.sessions) >= maxSessions {
			for id, old := range t.client.sessions {
				if old.running == 0 {
					delete(t.client.sessions, id)
				}
			}
		}
		if len(t.client.sessions) >= maxSessions {
			return fmt.Errorf("%w: %d sessions at once", prompt.ErrUnpaid, len(t.client.sessions))
		}
		s = &session{price: t.price}
		t.client.sessions[v.Session] = s
	}
	s.money += fresh
	if late := min(s.bad, s.paid()-min(s.paid(), s.used)); late > 0 {
		s.used += late
		s.bad -= late
		t.client.bad -= min(late, t.client.bad)
	}
	if !t.began {
		t.began, t.session = true, s
		s.running++
	}
	return nil
}

// Cover waits until a chunk is covered; the zero chunk stands for the beginning.
func (t *Tab) Cover(ctx context.Context, c prompt.Chunk) error {
	tokens := len(t.tokens)
	if c.HasToken {
		tokens++
	}
	count := spent(t.load, t.prefix, c.PromptTokens, tokens)
	if ok, err := t.covered(count, tokens == 0); ok || err != nil {
		return err
	}
	over := time.NewTimer(t.gate.cfg.Wait)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return fmt.Errorf("%w: %d tokens are due at %v each, and nothing came for %v", prompt.ErrUnpaid, count, t.price, t.gate.cfg.Wait)
		case <-t.moved:
		}
		if ok, err := t.covered(count, tokens == 0); ok || err != nil {
			return err
		}
	}
}

// covered books what the answer has used and reports whether it may.
func (t *Tab) covered(count uint64, begin bool) (bool, error) {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !t.began:
		return false, nil
	case t.price == 0:
		return true, nil
	case t.free:
		g.turnLocked()
		more := count - min(count, t.count)
		if left := g.cfg.Free() - min(g.cfg.Free(), t.client.freeUsed); more > left {
			return false, fmt.Errorf("%w: the free quota of %d tokens an epoch is used up; a token costs %v here: deposit (moeswarm wallet deposit) and set --max-spend",
				prompt.ErrUnpaid, g.cfg.Free(), t.price)
		}
		if g.freeAll+more > g.cfg.FreeAll() {
			return false, &prompt.BusyError{Detail: "what is given for free in this epoch is used up"}
		}
		t.client.freeUsed += more
		g.freeAll += more
		t.count = max(t.count, count)
		return true, nil
	}
	s := t.session
	s.used += count - min(count, t.count)
	t.count = max(t.count, count)
	if begin {
		return s.paid() > s.used, nil
	}
	// The client learns from the first chunk what its prompt costs, so that one
	// goes out on credit.
	return len(t.tokens) == 0 || s.used <= s.paid()+s.running*g.cfg.Window(), nil
}

// Seal signs the part of the answer that ends with this chunk; nil: none does.
// What the part can be checked by is kept before; an error ends the answer.
func (t *Tab) Seal(c prompt.Chunk) ([]byte, error) {
	epoch, ended := t.gate.cfg.Epoch(), c.Finish != prompt.FinishNone
	if c.HasToken {
		t.tokens = append(t.tokens, c.Token)
	}
	if t.writer == nil && (c.Trace == nil || t.gate.cfg.Archive == nil) {
		return t.seals.Sign(c.PromptTokens+t.prefix, t.tokens, ended, epoch, t.gate.cfg.Key), nil
	}
	if t.writer == nil {
		id := transcript.Identity{Chain: t.gate.cfg.Chain, Key: t.gate.cfg.Key, Client: t.from, Model: t.model, Salt: t.seals.Salt, Request: t.request}
		if n := c.PromptTokens + t.prefix; n != len(c.Trace.Prompt) {
			return nil, fmt.Errorf("%w: a prompt of %d tokens, of which %d were counted", prompt.ErrLost, len(c.Trace.Prompt), n)
		}
		t.writer = transcript.NewWriter(id, c.Trace.Prompt, c.Trace.Greedy)
	}
	var part *ledger.Chunk
	if c.HasToken {
		if c.Trace == nil {
			return nil, fmt.Errorf("%w: a token without its trace", prompt.ErrLost)
		}
		part = t.writer.Add(epoch, c.Token, c.Trace.Hidden, c.Trace.Routes)
	}
	if part == nil && ended {
		part = t.writer.End(epoch)
	}
	if part == nil {
		return nil, nil
	}
	if err := t.gate.cfg.Archive.Append(t.name(), t.writer.Transcript()); err != nil {
		return nil, fmt.Errorf("%w: the transcript of the answer cannot be kept: %w", prompt.ErrLost, err)
	}
	return ledger.Encode(part), nil
}

func (t *Tab) name() transcript.Name {
	return transcript.Name{Client: t.from, Session: t.seals.Salt.Session()}
}

// Close ends the account.
func (t *Tab) Close() {
	g := t.gate
	g.tokens.Add(uint64(len(t.tokens)))
	if t.archived {
		_ = g.cfg.Archive.End(t.name()) // it is written; a disk that fails now will say so again
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t.client.running--
	s := t.session
	if s == nil {
		return
	}
	s.running--
	if s.running == 0 && s.used > s.paid() {
		t.client.bad += s.used - s.paid()
		s.bad += s.used - s.paid()
		s.used = s.paid()
	}
}

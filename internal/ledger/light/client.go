package light

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Config of a [Client].
type Config struct {
	Ticket Ticket
	Open   Opener
	// Key is the account that messages are of; nil: the client only reads.
	Key ed25519.PrivateKey
	// Dir keeps what was verified from one run to the next; empty: nothing is.
	Dir string
	// FeesFrom is the account that pays for messages, see GrantFees; nil: the
	// client's own.
	FeesFrom *account.Address
	// MaxFee is the most a message may cost. Default 0.01 NEURO.
	MaxFee ledger.Amount
	// Now is the clock; nil: the machine's.
	Now func() time.Time
}

const (
	// maxStale is how many blocks an answer may be behind the newest that the
	// client knows.
	maxStale = 16
	// validFor is how long a transaction may wait for a block.
	validFor = 5 * time.Minute
	// baseGas and gasPerByte bound what a message may use of a block's work. A
	// voucher is settled for about 8000 units and 169 bytes.
	baseGas, gasPerByte = 1_000_000, 200
	// retryTime is how long a client waits after all nodes failed it.
	retryTime = time.Second
	// eventBuffer is how many events wait for a reader.
	eventBuffer = 256
)

// ErrReadOnly: a client without a key was asked to sign.
var ErrReadOnly = errors.New("this ledger client has no account; it can only read")

// Client is a ledger.Ledger whose chain is elsewhere.
type Client struct {
	ledger.View
	cfg     Config
	headers *headers

	mu      sync.Mutex
	first   int       // of the addresses is asked first
	number  *uint64   // of the account, once it has one
	last    time.Time // until when the last transaction was valid
	after   uint64    // the block that has it
	price   *uint64   // nneuro for 1000 units of gas
	watches sync.WaitGroup
}

var _ ledger.Ledger = (*Client)(nil)

// New makes a client. It asks nobody yet.
func New(cfg Config) (*Client, error) {
	if cfg.Open == nil || len(cfg.Ticket.Addrs) == 0 {
		return nil, errors.New("a ledger client needs a ticket with addresses, and a way to open streams")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxFee == 0 {
		cfg.MaxFee = ledger.Neuro / 100
	}
	path := ""
	if cfg.Dir != "" {
		path = filepath.Join(cfg.Dir, "ledger-"+cfg.Ticket.Chain+".block")
	}
	store, err := newTrusted(path, cfg.Ticket.Chain)
	if err != nil {
		return nil, fmt.Errorf("reading what was verified of the ledger: %w", err)
	}
	c := &Client{cfg: cfg, headers: &headers{ticket: cfg.Ticket, open: cfg.Open, now: cfg.Now, store: store}}
	c.View = ledger.View{Getter: c}
	return c, nil
}

// Close keeps what was verified. Streams of Events end with their contexts.
func (c *Client) Close() error {
	c.watches.Wait()
	return c.headers.store.keep()
}

// Block is a block's header with who signed it, verified.
func (c *Client) Block(ctx context.Context, height uint64) (*types.LightBlock, error) {
	return c.headers.at(ctx, height)
}

// Chain is the name of the chain, which every signature is bound to.
func (c *Client) Chain() string { return c.cfg.Ticket.Chain }

// each asks one node after the other until one answers.
func (c *Client) each(ctx context.Context, ask func(p peer) error) (err error) {
	c.mu.Lock()
	first := c.first
	c.mu.Unlock()
	for i := range c.cfg.Ticket.Addrs {
		if err = ask(c.headers.peer(first + i)); err == nil || ctx.Err() != nil || errors.Is(err, ErrFork) || errors.Is(err, ErrExpired) {
			return err
		}
		c.mu.Lock()
		c.first = first + i + 1
		c.mu.Unlock()
	}
	return err
}

// Get reads a record of the ledger's own module, proved. nil: there is none.
func (c *Client) Get(ctx context.Context, key []byte) ([]byte, error) {
	return c.Record(ctx, Codespace, key)
}

// Record reads a record of a module of the chain, proved. nil: there is none.
func (c *Client) Record(ctx context.Context, store string, key []byte) (value []byte, err error) {
	err = c.each(ctx, func(p peer) error {
		value, err = c.record(ctx, p, store, key)
		return err
	})
	return value, err
}

// record reads a record of the newest state that a node can prove, which is of
// the block before the newest. If a message of this client is newer, it waits
// for the next block, so that a client sees what it did.
func (c *Client) record(ctx context.Context, p peer, store string, key []byte) ([]byte, error) {
	r, err := c.question(ctx, p, Question{Store: store, Key: key})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	after := c.after
	c.mu.Unlock()
	if r.Height < after {
		if later, err := c.question(ctx, p, Question{Height: after, Store: store, Key: key}); err == nil {
			r = later
		} else if !errors.Is(err, ErrNone) { // no block comes: the ledger halts
			return nil, err
		}
	}
	return r.Value, nil
}

// question asks a node for a record and verifies the answer.
func (c *Client) question(ctx context.Context, p peer, q Question) (Record, error) {
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := p.ask(ask, AskRecord, q.Encode())
	if err != nil {
		return Record{}, err
	}
	r, err := DecodeRecord(answer)
	if err != nil {
		return Record{}, err
	}
	newest, _ := c.headers.store.LastLightBlockHeight()
	if r.Height >= 1<<62 || int64(r.Height)+1 < newest-maxStale || (q.Height > 0 && r.Height != q.Height) {
		return Record{}, fmt.Errorf("%w: a record of block %d, long before %d", ErrProof, r.Height, newest)
	}
	block, err := c.headers.at(ctx, r.Height+1)
	if err != nil {
		return Record{}, err
	}
	if err := r.verify(block.AppHash, q.Store, q.Key); err != nil {
		return Record{}, fmt.Errorf("%s: %w", p, err)
	}
	if q.Height == 0 && c.cfg.Now().Sub(block.Time) > quiet {
		if err := c.headers.newer(ctx, block, p); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}

// Balance is what the account of a key has.
func (c *Client) Balance(ctx context.Context, k ledger.Key) (ledger.Amount, error) {
	return c.BalanceOf(ctx, account.Of(k))
}

// BalanceOf is what an account has.
func (c *Client) BalanceOf(ctx context.Context, a account.Address) (ledger.Amount, error) {
	key := append([]byte{2, byte(len(a))}, a[:]...)
	value, err := c.Record(ctx, "bank", append(key, denom...))
	if err != nil || value == nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("a balance of %.40q", value)
	}
	return ledger.Amount(n), nil
}

// accountNumber is what the chain counts the client's account by. An account
// begins when money first comes to it.
func (c *Client) accountNumber(ctx context.Context) (uint64, error) {
	c.mu.Lock()
	known := c.number
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	a := account.Of(ledger.KeyOf(c.cfg.Key))
	value, err := c.Record(ctx, "acc", append([]byte{1}, a[:]...))
	if err != nil {
		return 0, err
	}
	if value == nil {
		return 0, fmt.Errorf("%w: account %s is not on the ledger; it begins when somebody sends it money or pays its fees (moeswarm wallet send, grant)", ledger.ErrFunds, a)
	}
	n, ok := parseAccount(value)
	if !ok {
		return 0, fmt.Errorf("account %s is of a kind that is not known", a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number = &n
	return n, nil
}

// parseAccount reads the number of a plain account.
func parseAccount(b []byte) (number uint64, ok bool) {
	var kind string
	var base []byte
	whole := fields(b, func(n fieldNumber, _ uint64, v []byte) {
		switch n {
		case 1:
			kind = string(v)
		case 2:
			base = v
		}
	})
	whole = whole && fields(base, func(n fieldNumber, v uint64, _ []byte) {
		if n == 3 {
			number = v
		}
	})
	return number, whole && kind == "/cosmos.auth.v1beta1.BaseAccount"
}

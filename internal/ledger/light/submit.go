package light

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Submit signs a message, sends it and waits until it is proved that it took
// effect, which is when the block after its own has come. The error of a message
// that had no effect wraps one of package ledger's where there is one. While the
// ledger halts Submit waits, until the message is void.
func (c *Client) Submit(ctx context.Context, m ledger.Msg) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	one, err := act(ledger.KeyOf(c.cfg.Key), m)
	if err != nil {
		return ledger.TxID{}, err
	}
	return c.Execute(ctx, one)
}

// Execute does the same for messages of any module of the chain: all have an
// effect, or none.
func (c *Client) Execute(ctx context.Context, messages ...Message) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	number, err := c.accountNumber(ctx)
	if err != nil {
		return ledger.TxID{}, err
	}
	o := order{chain: c.Chain(), account: number, until: c.until(), gas: baseGas, feesFrom: c.cfg.FeesFrom}
	for _, m := range messages {
		o.gas += gasPerByte * uint64(len(m.Value))
	}
	if o.fee, err = c.fee(ctx, o.gas); err != nil {
		return ledger.TxID{}, err
	}
	tx := sign(c.cfg.Key, o, messages)
	if len(tx) > MaxRequest {
		return ledger.TxID{}, fmt.Errorf("%w: a transaction of %d bytes, at most %d fit", ledger.ErrMalformed, len(tx), MaxRequest)
	}
	return c.send(ctx, tx, o.until)
}

// send brings a transaction to one node after the other, until one proves what
// became of it. It is one and the same, however many nodes pass it on. That no
// block has it cannot be proved: another node is asked, too.
func (c *Client) send(ctx context.Context, tx []byte, until time.Time) (ledger.TxID, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, until.Sub(c.cfg.Now())+askTime, errors.New("the ledger made no block for it; it may have halted"))
	defer cancel()
	var o Outcome
	refusals := 0
	err := c.each(ctx, func(p peer) error {
		one, err := c.submit(ctx, p, tx)
		if err != nil {
			return err
		}
		if o = one; o.Height == 0 {
			if refusals++; refusals < min(refusers, len(c.cfg.Ticket.Addrs)) {
				return refusal(o.Codespace, o.Code, o.Text)
			}
		}
		return nil
	})
	switch {
	case err != nil && refusals == 0:
		return ledger.TxID{}, err
	case err != nil || o.Code != 0: // of nodes that do not answer, what the others said stands
		return ledger.TxID{}, refusal(o.Codespace, o.Code, o.Text)
	}
	c.mu.Lock()
	c.after = max(c.after, o.Height)
	c.mu.Unlock()
	return sha256.Sum256(tx), nil
}

// refusers is how many nodes must say that they do not pass a transaction on.
const refusers = 2

// submit has a node pass a transaction on, and verifies what it says became of
// it.
func (c *Client) submit(ctx context.Context, p peer, tx []byte) (Outcome, error) {
	answer, err := p.ask(ctx, AskSubmit, tx)
	if err != nil {
		return Outcome{}, err
	}
	o, err := DecodeOutcome(answer)
	if err != nil || o.Height == 0 {
		if err == nil && o.Code == 0 {
			err = fmt.Errorf("%w: a transaction took effect in no block", ErrWire)
		}
		return o, err
	}
	newest, _ := c.headers.store.LastLightBlockHeight()
	if o.Height >= 1<<62 || int64(o.Height) < newest-maxStale {
		return o, fmt.Errorf("%w: a transaction of now in block %d, long before %d", ErrProof, o.Height, newest)
	}
	block, err := c.headers.at(ctx, o.Height)
	if err != nil {
		return o, err
	}
	next, err := c.headers.at(ctx, o.Height+1)
	if err != nil {
		return o, fmt.Errorf("it is in block %d, and the next, which proves what became of it, has not come: %w", o.Height, err)
	}
	if err := o.verify(tx, block.DataHash, next.LastResultsHash); err != nil {
		return o, fmt.Errorf("%s: %w", p, err)
	}
	return o, nil
}

// until is when a transaction becomes void, which also tells it from the others
// of the account.
func (c *Client) until() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.cfg.Now().Add(validFor)
	if !t.After(c.last) {
		t = c.last.Add(1)
	}
	c.last = t
	return t
}

// fee is what a node asks for, within the client's limit.
func (c *Client) fee(ctx context.Context, gas uint64) (uint64, error) {
	c.mu.Lock()
	price := c.price
	c.mu.Unlock()
	if price == nil {
		err := c.each(ctx, func(p peer) error {
			i, err := p.info(ctx)
			price = &i.GasPrice
			return err
		})
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.price = price
		c.mu.Unlock()
	}
	// Rounded up, and never out of 64 bits.
	fee := ledger.MulDiv(gas, *price, 1000)
	if fee++; *price == 0 {
		fee = 0
	}
	if fee > uint64(c.cfg.MaxFee) {
		return 0, fmt.Errorf("%w: a fee of %v, more than the limit of %v", ledger.ErrCap, ledger.Amount(fee), c.cfg.MaxFee)
	}
	return fee, nil
}

// Events tells what happens from now on, as a node says it: events are not
// proved, and what matters is read again. When a node fails another is asked,
// and events between are lost.
func (c *Client) Events(ctx context.Context) (<-chan ledger.Event, error) {
	out := make(chan ledger.Event, eventBuffer)
	c.watches.Go(func() {
		defer close(out)
		for ctx.Err() == nil {
			c.each(ctx, func(p peer) error { return watch(ctx, p, out) })
			select {
			case <-ctx.Done():
			case <-time.After(retryTime):
			}
		}
	})
	return out, nil
}

// watch passes on the events of one node until it fails or ctx ends.
func watch(ctx context.Context, p peer, out chan ledger.Event) error {
	s, err := p.begin(ctx, AskEvents, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	for {
		answer, err := next(s)
		if err != nil {
			return err
		}
		e, err := ParseEvent(string(answer))
		if err != nil {
			return err
		}
		for sent := false; !sent; {
			select {
			case out <- e:
				sent = true
			default: // the reader fell behind: the oldest goes
				select {
				case <-out:
				default:
				}
			}
		}
	}
}

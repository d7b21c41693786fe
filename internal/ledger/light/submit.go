package light

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Submit signs a message, sends it and waits until it is in a block. The error
// of a message that had no effect wraps one of package ledger's where there is
// one. While the ledger halts Submit waits, until the message is void.
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

// send brings a transaction to one node after the other, until one says what
// became of it. It is one and the same, however many nodes pass it on.
func (c *Client) send(ctx context.Context, tx []byte, until time.Time) (ledger.TxID, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, until.Sub(c.cfg.Now())+askTime, errors.New("the ledger made no block for it; it may have halted"))
	defer cancel()
	var o Outcome
	err := c.each(ctx, func(p peer) error {
		answer, err := p.ask(ctx, AskSubmit, tx)
		if err == nil {
			o, err = DecodeOutcome(answer)
		}
		return err
	})
	if err != nil {
		return ledger.TxID{}, err
	}
	if o.Code != 0 {
		return ledger.TxID{}, refusal(o.Codespace, o.Code, o.Text)
	}
	c.mu.Lock()
	c.after = max(c.after, o.Height)
	c.mu.Unlock()
	return sha256.Sum256(tx), nil
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
			ask, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			answer, err := p.ask(ask, AskInfo, nil)
			if err != nil {
				return err
			}
			i, err := DecodeInfo(answer)
			if err == nil && i.Chain != c.Chain() {
				err = fmt.Errorf("%s is a node of ledger %s; want %s", p, i.Chain, c.Chain())
			}
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

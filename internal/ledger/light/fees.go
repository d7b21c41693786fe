package light

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Transfer is a message that gives money of an account to another, which may be
// one that nobody has the key of at hand.
func Transfer(from, to account.Address, amount ledger.Amount) Message {
	b := field(2, []byte(to.String()), field(1, []byte(from.String()), nil))
	return Message{"/cosmos.bank.v1beta1.MsgSend", field(3, coin(uint64(amount)), b)}
}

// Allowance is what one account may spend of another's on fees, and on nothing
// else.
type Allowance struct {
	Left  ledger.Amount
	Until time.Time // zero: without end
}

// GrantFees lets an account pay fees out of the client's, in place of what was
// granted before. An account that is not on the ledger yet begins with it.
func (c *Client) GrantFees(ctx context.Context, to account.Address, a Allowance) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	from := account.Of(ledger.KeyOf(c.cfg.Key))
	var messages []Message
	if _, have, err := c.Allowance(ctx, from, to); err != nil {
		return ledger.TxID{}, err
	} else if have {
		messages = append(messages, revoke(from, to))
	}
	basic := field(1, coin(uint64(a.Left)), nil)
	if !a.Until.IsZero() {
		basic = field(2, timestamp(a.Until), basic)
	}
	allowed := Message{"/cosmos.feegrant.v1beta1.BasicAllowance", basic}
	b := field(2, []byte(to.String()), field(1, []byte(from.String()), nil))
	messages = append(messages, Message{"/cosmos.feegrant.v1beta1.MsgGrantAllowance", field(3, allowed.any(), b)})
	return c.Execute(ctx, messages...)
}

// RevokeFees ends what GrantFees began. The error wraps ledger.ErrUnknown where
// there is nothing to end.
func (c *Client) RevokeFees(ctx context.Context, to account.Address) (ledger.TxID, error) {
	if c.cfg.Key == nil {
		return ledger.TxID{}, ErrReadOnly
	}
	from := account.Of(ledger.KeyOf(c.cfg.Key))
	if _, have, err := c.Allowance(ctx, from, to); err != nil {
		return ledger.TxID{}, err
	} else if !have {
		return ledger.TxID{}, fmt.Errorf("%w: fees of %s that %s pays", ledger.ErrUnknown, to, from)
	}
	return c.Execute(ctx, revoke(from, to))
}

func revoke(from, to account.Address) Message {
	b := field(2, []byte(to.String()), field(1, []byte(from.String()), nil))
	return Message{"/cosmos.feegrant.v1beta1.MsgRevokeAllowance", b}
}

// Allowance reads what an account may spend on fees of another's money, proved.
// have is false where nothing was granted.
func (c *Client) Allowance(ctx context.Context, from, to account.Address) (a Allowance, have bool, err error) {
	key := append([]byte{0, byte(len(to))}, to[:]...)
	key = append(append(key, byte(len(from))), from[:]...)
	value, err := c.Record(ctx, "feegrant", key)
	if err != nil || value == nil {
		return a, false, err
	}
	a, ok := parseAllowance(value)
	if !ok {
		return a, false, fmt.Errorf("what %s grants %s is of a kind that is not known", from, to)
	}
	return a, true, nil
}

// parseAllowance reads a grant of x/feegrant with a BasicAllowance in one coin.
func parseAllowance(b []byte) (a Allowance, ok bool) {
	ok = true
	read := func(b []byte, f func(n fieldNumber, v uint64, b []byte)) { ok = ok && fields(b, f) }
	known := false
	read(b, func(n fieldNumber, _ uint64, b []byte) {
		if n != 3 {
			return
		}
		var basic []byte
		read(b, func(n fieldNumber, _ uint64, b []byte) {
			switch n {
			case 1:
				known = string(b) == "/cosmos.feegrant.v1beta1.BasicAllowance"
			case 2:
				basic = b
			}
		})
		read(basic, func(n fieldNumber, _ uint64, b []byte) {
			switch n {
			case 1:
				read(b, func(n fieldNumber, _ uint64, b []byte) {
					if n == 2 {
						left, err := strconv.ParseUint(string(b), 10, 63)
						ok = ok && err == nil
						a.Left = ledger.Amount(left)
					}
				})
			case 2:
				var seconds uint64
				read(b, func(n fieldNumber, v uint64, _ []byte) {
					if n == 1 {
						seconds = v
					}
				})
				a.Until = time.Unix(int64(seconds), 0).UTC()
			}
		})
	})
	return a, ok && known
}

package light

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/moeswarm/moeswarm/internal/account"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// fieldNumber is the number of a field of a protobuf message.
type fieldNumber = protowire.Number

// denom is the chain's coin.
const denom = "nneuro"

// Message is one message of a transaction of a Cosmos chain: the name of its
// protobuf type, and its encoding.
type Message struct {
	Type  string // as "/neuro.v1.MsgAct"
	Value []byte
}

// act is the message that carries one of the ledger's own.
func act(signer ledger.Key, m ledger.Msg) (Message, error) {
	body, err := ledger.EncodeMsg(m)
	if err != nil {
		return Message{}, err
	}
	return Message{"/neuro.v1.MsgAct", field(2, body, field(1, signer[:], nil))}, nil
}

// govern is the message that carries one of governance.
func govern(m ledger.Msg) (Message, error) {
	body, err := ledger.EncodeMsg(m)
	if err != nil {
		return Message{}, err
	}
	return Message{"/neuro.v1.MsgGovern", field(2, body, field(1, []byte(Governance()), nil))}, nil
}

// Governance is the address in whose name proposals act.
func Governance() string { return account.Module("gov").String() }

// order is what a transaction says besides its messages.
type order struct {
	chain   string
	account uint64    // the account's number
	until   time.Time // when the transaction is void; unique among the account's
	gas     uint64
	fee     uint64 // nneuro

	feesFrom *account.Address // who pays it; nil: the signer
}

// signDirect is SIGN_MODE_DIRECT.
const signDirect = 1

// sign writes a signed transaction: unordered, so that it needs no sequence
// number, and void at a time.
func sign(key ed25519.PrivateKey, o order, messages []Message) []byte {
	var body []byte
	for _, m := range messages {
		body = field(1, m.any(), body)
	}
	body = number(4, 1, body) // unordered
	body = field(5, timestamp(o.until), body)

	public := Message{"/cosmos.crypto.ed25519.PubKey", field(1, key.Public().(ed25519.PublicKey), nil)}
	mode := field(1, number(1, signDirect, nil), nil)
	signer := field(2, mode, field(1, public.any(), nil))
	auth := field(2, fee(o), field(1, signer, nil))

	doc := field(2, auth, field(1, body, nil))
	doc = field(3, []byte(o.chain), doc)
	if o.account > 0 {
		doc = number(4, o.account, doc)
	}
	return field(3, ed25519.Sign(key, doc), field(2, auth, field(1, body, nil)))
}

func (m Message) any() []byte { return field(2, m.Value, field(1, []byte(m.Type), nil)) }

func fee(o order) []byte {
	var b []byte
	if o.fee > 0 {
		b = field(1, coin(o.fee), nil)
	}
	b = number(2, o.gas, b)
	if o.feesFrom != nil && o.fee > 0 {
		b = field(4, []byte(o.feesFrom.String()), b)
	}
	return b
}

func coin(amount uint64) []byte {
	return field(2, fmt.Append(nil, amount), field(1, []byte(denom), nil))
}

func timestamp(t time.Time) []byte {
	b := number(1, uint64(t.Unix()), nil)
	if ns := t.Nanosecond(); ns > 0 {
		b = number(2, uint64(ns), b)
	}
	return b
}

// field appends a field of bytes to b.
func field(n protowire.Number, value, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
}

// number appends a field that is a number to b.
func number(n protowire.Number, value uint64, b []byte) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), value)
}

// fields calls f for each field of a protobuf message, with the value of a
// number or the bytes of another. It reports whether b is one.
func fields(b []byte, f func(n fieldNumber, value uint64, bytes []byte)) bool {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return false
		}
		b = b[size:]
		var value uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			value, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return false
		}
		b = b[size:]
		f(n, value, bytes)
	}
	return true
}

package ledger

import "fmt"

// Kind says which message it is; it is the first byte after the version.
type Kind uint8

// The kinds of messages.
const (
	KindSend Kind = iota + 1
	KindRegisterProvider
	KindHeartbeat
	KindBond
	KindUnbond
	KindDeposit
	KindRequestWithdraw
	KindSettleEpoch
	KindClaim
	KindDisputeReceipt
	KindEquivocation
	KindOpenCase
	KindCommitVerdict
	KindRevealVerdict
	KindAppealCase
	KindCommitTally
	KindUpdateParams
	KindSetModel
)

// Limits of messages.
const (
	// MaxMsg bounds an encoded message; 1000 vouchers and 128 leaves fit.
	MaxMsg = 192 << 10
	// MaxTickets bounds the vouchers of one SettleEpoch.
	MaxTickets = 1000
	// MaxLeaves bounds the leaves that ride along and are paid at once.
	MaxLeaves = 128
	// MaxChanges bounds the changes of one UpdateParams.
	MaxChanges = 64
)

// Msg is a message. All are pointers to structs below.
type Msg interface {
	Record
	Kind() Kind
}

// newMsg is an empty message of a kind, nil of an unknown one.
func newMsg(k Kind) Msg {
	switch k {
	case KindSend:
		return new(Send)
	case KindRegisterProvider:
		return new(RegisterProvider)
	case KindHeartbeat:
		return new(Heartbeat)
	case KindBond:
		return new(Bond)
	case KindUnbond:
		return new(Unbond)
	case KindDeposit:
		return new(Deposit)
	case KindRequestWithdraw:
		return new(RequestWithdraw)
	case KindSettleEpoch:
		return new(SettleEpoch)
	case KindClaim:
		return new(Claim)
	case KindDisputeReceipt:
		return new(DisputeReceipt)
	case KindEquivocation:
		return new(Equivocation)
	case KindOpenCase:
		return new(OpenCase)
	case KindCommitVerdict:
		return new(CommitVerdict)
	case KindRevealVerdict:
		return new(RevealVerdict)
	case KindAppealCase:
		return new(AppealCase)
	case KindCommitTally:
		return new(CommitTally)
	case KindUpdateParams:
		return new(UpdateParams)
	case KindSetModel:
		return new(SetModel)
	}
	return nil
}

// envelope is a message behind its kind.
type envelope struct{ msg Msg }

func (e *envelope) code(c *coder) {
	var k uint8
	if e.msg != nil {
		k = uint8(e.msg.Kind())
	}
	c.u8(&k)
	if c.reading && c.err == nil {
		if e.msg = newMsg(Kind(k)); e.msg == nil {
			c.fail("a message of unknown kind %d", k)
			return
		}
	}
	if c.err == nil {
		e.msg.code(c)
	}
}

// EncodeMsg returns the canonical bytes of a message. The error wraps
// ErrMalformed: the message is past its limits.
func EncodeMsg(m Msg) ([]byte, error) {
	c := coder{buf: []byte{version}}
	(&envelope{m}).code(&c)
	if len(c.buf) > MaxMsg {
		c.fail("a message of %d bytes, at most %d allowed", len(c.buf), MaxMsg)
	}
	return c.buf, c.err
}

// DecodeMsg reads a message. What it accepts encodes to the same bytes again.
// The error wraps ErrMalformed.
func DecodeMsg(b []byte) (Msg, error) {
	if len(b) > MaxMsg {
		return nil, fmt.Errorf("%w: a message of %d bytes, at most %d allowed", ErrMalformed, len(b), MaxMsg)
	}
	var e envelope
	if err := Decode(b, &e); err != nil {
		return nil, err
	}
	return e.msg, nil
}

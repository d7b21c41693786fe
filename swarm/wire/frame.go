package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the version of the format, the same in every frame.
const Version = 2

// Kind says what a frame holds. The numbers are part of the format.
type Kind uint8

const (
	KindCall         Kind = 1
	KindReply        Kind = 2
	KindRefusal      Kind = 3
	KindCancel       Kind = 4
	KindPing         Kind = 5
	KindPong         Kind = 6
	KindChallenge    Kind = 7
	KindOpening      Kind = 8
	KindReceipt      Kind = 9
	KindSession      Kind = 10
	KindWord         Kind = 11
	KindPrompt       Kind = 16
	KindChunk        Kind = 17
	KindPromptEnd    Kind = 18
	KindKeepAlive    Kind = 19
	KindPayment      Kind = 20
	KindSeal         Kind = 21
	KindAnnouncement Kind = 32
	KindWant         Kind = 48
	KindBlob         Kind = 49
)

// String names the kind as the package doc does.
func (k Kind) String() string {
	switch k {
	case KindCall:
		return "call"
	case KindReply:
		return "reply"
	case KindRefusal:
		return "refusal"
	case KindCancel:
		return "cancel"
	case KindPing:
		return "ping"
	case KindPong:
		return "pong"
	case KindChallenge:
		return "challenge"
	case KindOpening:
		return "challenge reply"
	case KindReceipt:
		return "receipt"
	case KindSession:
		return "session"
	case KindWord:
		return "word"
	case KindPrompt:
		return "prompt"
	case KindChunk:
		return "chunk"
	case KindPromptEnd:
		return "prompt end"
	case KindKeepAlive:
		return "keep-alive"
	case KindPayment:
		return "payment"
	case KindSeal:
		return "seal"
	case KindAnnouncement:
		return "announcement"
	case KindWant:
		return "want"
	case KindBlob:
		return "blob"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) known() bool {
	return k >= KindCall && k <= KindWord || k >= KindPrompt && k <= KindSeal || k == KindAnnouncement || k == KindWant || k == KindBlob
}

// Errors of the format itself.
var (
	// ErrFormat: the bytes are not a frame of this format.
	ErrFormat = errors.New("malformed frame")
	// ErrVersion: the peer speaks another version of the format.
	ErrVersion = errors.New("unknown frame version")
	// ErrKind: a kind that this version of the program does not know. The
	// frame can be skipped, and the stream goes on.
	ErrKind = errors.New("unknown frame kind")
	// ErrTooLarge: a length past the limit of its kind.
	ErrTooLarge = errors.New("frame too large")
)

// HeaderLen is the number of bytes before a frame's body.
const HeaderLen = 4 + headerCounted

// headerCounted is the part of the header that the length field counts.
const headerCounted = 1 + 1 + 8

// Header is what stands before a body.
type Header struct {
	Kind Kind
	ID   uint64 // the call that the frame belongs to
	Len  int    // bytes of the body
}

// parseHeader reads the HeaderLen bytes of b. With [ErrKind] the header is
// valid all the same.
func parseHeader(b []byte) (Header, error) {
	n := binary.LittleEndian.Uint32(b)
	h := Header{Kind: Kind(b[5]), ID: binary.LittleEndian.Uint64(b[6:])}
	switch {
	case n < headerCounted:
		return Header{}, fmt.Errorf("%w: length %d is shorter than a header", ErrFormat, n)
	case n > MaxFrame:
		return Header{}, fmt.Errorf("%w: %d bytes, at most %d allowed", ErrTooLarge, n, MaxFrame)
	case b[4] != Version:
		return Header{}, fmt.Errorf("%w: %d, this program speaks %d", ErrVersion, b[4], Version)
	}
	h.Len = int(n) - headerCounted
	if !h.Kind.known() {
		return h, fmt.Errorf("%w: %d", ErrKind, uint8(h.Kind))
	}
	if limit := MaxBody(h.Kind); h.Len > limit {
		return Header{}, fmt.Errorf("%w: %v of %d bytes, at most %d allowed", ErrTooLarge, h.Kind, h.Len, limit)
	}
	return h, nil
}

// ParseFrame splits a message that is exactly one frame. The body is a view
// into b.
func ParseFrame(b []byte) (Header, []byte, error) {
	if len(b) < HeaderLen {
		return Header{}, nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrFormat, len(b), HeaderLen)
	}
	h, err := parseHeader(b)
	if err != nil {
		return Header{}, nil, err
	}
	if len(b) != HeaderLen+h.Len {
		return Header{}, nil, fmt.Errorf("%w: %v of %d bytes in a message of %d", ErrFormat, h.Kind, HeaderLen+h.Len, len(b))
	}
	return h, b[HeaderLen:], nil
}

// appendHeader begins a frame whose body will have n bytes.
func appendHeader(b []byte, k Kind, id uint64, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(headerCounted+n))
	b = append(b, Version, uint8(k))
	return binary.LittleEndian.AppendUint64(b, id)
}

// SetID changes the call id of the frame that b begins with. So a frame can be
// built before it is known which stream it takes.
func SetID(b []byte, id uint64) { binary.LittleEndian.PutUint64(b[HeaderLen-8:], id) }

// AppendCancel appends a frame that calls off call id.
func AppendCancel(b []byte, id uint64) []byte { return appendHeader(b, KindCancel, id, 0) }

// AppendKeepAlive appends a frame that says that the sender lives.
func AppendKeepAlive(b []byte) []byte { return appendHeader(b, KindKeepAlive, 0, 0) }

// AppendSigned appends a payment, a seal or a receipt: a statement that this
// format carries and does not read. One past [MaxSigned] is none that a peer
// would take; the frame is then empty.
func AppendSigned(b []byte, k Kind, statement []byte) []byte {
	if len(statement) > MaxSigned {
		statement = nil
	}
	return append(appendHeader(b, k, 0, len(statement)), statement...)
}

// AppendSession appends a frame that asks a holder to sign its answers on this
// stream from now on.
func AppendSession(b []byte) []byte { return appendHeader(b, KindSession, 0, 0) }

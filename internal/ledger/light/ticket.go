package light

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	// prefix of a ticket as text.
	prefix = "led1"
	// MaxAddrs bounds the addresses in a ticket.
	MaxAddrs  = 16
	maxAddr   = 512
	maxChain  = 50 // as CometBFT bounds a chain's name
	maxTicket = 16 << 10
	checkSize = 4
)

// letters is what people can read aloud and select with two clicks.
var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Ticket is what a node needs to use a ledger: which chain it is, a block of it
// to trust, and where to ask. It is no secret. The block's hash is the root of
// all that is verified, so a ticket must come from somebody who is trusted that
// far. As text it is "led1" and the base32 (lower case, no padding) of:
//
//	chain      u8 length and text
//	height     u64, little-endian
//	hash       32 bytes: SHA-256 over the header of that height, as CometBFT defines it
//	addresses  u8 count, then each as u16 length (little-endian) and text
//	checksum   the first 4 bytes of the SHA-256 of all before it
type Ticket struct {
	Chain  string
	Height uint64
	Hash   [32]byte
	Addrs  []string // multiaddrs with /p2p/ID of nodes that serve light clients
}

// ErrTicket: a string is no ticket of a ledger.
var ErrTicket = errors.New("not a ledger ticket")

// IsTicket reports whether a string is meant to be a ticket of a ledger.
func IsTicket(s string) bool { return strings.HasPrefix(strings.TrimSpace(s), prefix) }

// String writes a ticket. Addresses past the limits are left out.
func (t Ticket) String() string {
	chain := t.Chain[:min(len(t.Chain), maxChain)]
	b := append([]byte{byte(len(chain))}, chain...)
	b = binary.LittleEndian.AppendUint64(b, t.Height)
	b = append(b, t.Hash[:]...)
	var addrs []string
	for _, a := range t.Addrs {
		if word(a, maxAddr) && len(addrs) < MaxAddrs {
			addrs = append(addrs, a)
		}
	}
	b = append(b, byte(len(addrs)))
	for _, a := range addrs {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(a))), a...)
	}
	sum := sha256.Sum256(b)
	return prefix + letters.EncodeToString(append(b, sum[:checkSize]...))
}

// word reports whether s is printable ASCII without blanks, not empty and not
// longer than most.
func word(s string, most int) bool {
	return len(s) > 0 && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// ParseTicket reads a ticket; blanks and line breaks in it, and capitals, are
// forgiven. The error wraps [ErrTicket].
func ParseTicket(s string) (Ticket, error) {
	if len(s) > maxTicket {
		return Ticket{}, fmt.Errorf("%w: %d characters", ErrTicket, len(s))
	}
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	text, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return Ticket{}, fmt.Errorf("%w: it does not begin with %s", ErrTicket, prefix)
	}
	b, err := letters.DecodeString(text)
	if err != nil || len(b) < checkSize {
		return Ticket{}, fmt.Errorf("%w: it was cut or mistyped", ErrTicket)
	}
	body := b[:len(b)-checkSize]
	if sum := sha256.Sum256(body); string(sum[:checkSize]) != string(b[len(body):]) {
		return Ticket{}, fmt.Errorf("%w: it was cut or mistyped", ErrTicket)
	}
	t, ok := parseTicket(body)
	if !ok || t.String() != s {
		return Ticket{}, fmt.Errorf("%w: it holds something else", ErrTicket)
	}
	return t, nil
}

func parseTicket(b []byte) (t Ticket, ok bool) {
	take := func(n int) []byte {
		if n > len(b) {
			n, b, ok = 0, nil, false
			return make([]byte, 32)[:n]
		}
		head := b[:n]
		b = b[n:]
		return head
	}
	number := func(size int) (n uint64) {
		for i, c := range take(size) {
			n |= uint64(c) << (8 * i)
		}
		return n
	}
	ok = true
	t.Chain = string(take(int(number(1))))
	t.Height = number(8)
	copy(t.Hash[:], take(32))
	for range number(1) {
		t.Addrs = append(t.Addrs, string(take(int(number(2)))))
	}
	return t, ok && len(b) == 0 && word(t.Chain, maxChain)
}

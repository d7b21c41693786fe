// Package ticket puts what a newcomer needs to join a swarm into one string:
// addresses of nodes to join, and the id of a model. A checksum tells of
// mistakes in copying. A ticket is no secret and no permission.
//
// The string is "moe1" and the base32 (lower case, no padding) of:
//
//	model      32 bytes, all zero for none
//	addresses  u8 count, then each as u16 length (little-endian) and text
//	checksum   the first 4 bytes of the SHA-256 of all before it
package ticket

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	prefix = "moe1"
	// MaxAddrs bounds the addresses: some nodes with some addresses each.
	MaxAddrs = 16
	// maxAddr bounds one address: through a relay, with two peer ids.
	maxAddr = 512
	// maxText bounds a ticket as text.
	maxText = 16 << 10
	check   = 4
)

// encoding is what people can read aloud and select with two clicks.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Ticket is what a newcomer needs.
type Ticket struct {
	Model [32]byte // zero: none
	Addrs []string // multiaddrs, complete with /p2p/ID
}

// ErrTicket: a string is no ticket.
var ErrTicket = errors.New("not a ticket")

// Is reports whether a string is meant to be a ticket.
func Is(s string) bool { return strings.HasPrefix(strings.TrimSpace(s), prefix) }

// String writes a ticket. Addresses past the limits are left out.
func (t Ticket) String() string {
	b := append([]byte(nil), t.Model[:]...)
	var addrs []string
	for _, a := range t.Addrs {
		if fits(a) && len(addrs) < MaxAddrs {
			addrs = append(addrs, a)
		}
	}
	b = append(b, byte(len(addrs)))
	for _, a := range addrs {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(a))), a...)
	}
	sum := sha256.Sum256(b)
	return prefix + encoding.EncodeToString(append(b, sum[:check]...))
}

// fits reports whether an address is a word of text.
func fits(a string) bool {
	return len(a) > 0 && len(a) <= maxAddr && !strings.ContainsFunc(a, func(r rune) bool {
		return r >= unicode.MaxASCII || !unicode.IsPrint(r) || r == ' '
	})
}

// Parse reads a ticket; blanks and line breaks in it, and capitals, are
// forgiven. The error wraps [ErrTicket].
func Parse(s string) (Ticket, error) {
	if len(s) > maxText {
		return Ticket{}, fmt.Errorf("%w: %d characters", ErrTicket, len(s))
	}
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	text, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return Ticket{}, fmt.Errorf("%w: it does not begin with %s", ErrTicket, prefix)
	}
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) < 32+1+check {
		return Ticket{}, fmt.Errorf("%w: it is cut off or has a wrong character", ErrTicket)
	}
	body := b[:len(b)-check]
	if sum := sha256.Sum256(body); string(sum[:check]) != string(b[len(body):]) {
		return Ticket{}, fmt.Errorf("%w: a character is wrong or missing; copy it again", ErrTicket)
	}
	var t Ticket
	copy(t.Model[:], body)
	count, rest := int(body[32]), body[33:]
	for range count {
		if len(rest) < 2 {
			return Ticket{}, fmt.Errorf("%w: it ends too soon", ErrTicket)
		}
		n := int(binary.LittleEndian.Uint16(rest))
		if rest = rest[2:]; n > len(rest) || !fits(string(rest[:n])) {
			return Ticket{}, fmt.Errorf("%w: an address in it is malformed", ErrTicket)
		}
		t.Addrs, rest = append(t.Addrs, string(rest[:n])), rest[n:]
	}
	if len(rest) > 0 || count > MaxAddrs {
		return Ticket{}, fmt.Errorf("%w: %d bytes too many", ErrTicket, len(rest))
	}
	return t, nil
}

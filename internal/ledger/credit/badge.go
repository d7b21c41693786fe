package credit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// Badge is what a holder wants to be called. The one issued last counts.
type Badge struct {
	Holder ledger.Key
	Name   string // at most ledger.MaxName bytes, as Team
	Team   string // empty: none
	Issued uint64 // grows from one badge of a holder to its next: an epoch, a time
	Sig    ledger.Sig
}

const badgeDomain = "neuro/badge\x00"

// Signer is the holder.
func (b Badge) Signer() ledger.Key { return b.Holder }

// Signature is the holder's.
func (b Badge) Signature() ledger.Sig { return b.Sig }

// Statement is what the holder signs.
func (b Badge) Statement(chain string) []byte {
	name := sha256.Sum256([]byte(chain))
	return b.appendBody(append([]byte(badgeDomain), name[:]...))
}

// Sign returns the badge with its signature; private is the holder's key.
func (b Badge) Sign(chain string, private ed25519.PrivateKey) Badge {
	b.Sig = ledger.Sig(ed25519.Sign(private, b.Statement(chain)))
	return b
}

func (b Badge) appendBody(to []byte) []byte {
	to = append(to, b.Holder[:]...)
	to = binary.BigEndian.AppendUint64(to, b.Issued)
	for _, s := range []string{b.Name, b.Team} {
		to = append(append(to, byte(len(s))), s...)
	}
	return to
}

func (b Badge) check() error { return CheckNames(b.Name, b.Team) }

// CheckNames refuses names that would spoil a list on somebody's terminal.
func CheckNames(names ...string) error {
	for _, s := range names {
		if len(s) > ledger.MaxName || !utf8.ValidString(s) {
			return fmt.Errorf("%w: a name of %d bytes, want UTF-8 of at most %d", ledger.ErrMalformed, len(s), ledger.MaxName)
		}
		for _, r := range s {
			if !unicode.IsPrint(r) {
				return fmt.Errorf("%w: a name with %q in it", ledger.ErrMalformed, r)
			}
		}
	}
	return nil
}

// parseBadge reads what appendBody and the signature gave.
func parseBadge(p []byte) (b Badge, err error) {
	short := fmt.Errorf("%w: a badge of %d bytes", ledger.ErrMalformed, len(p))
	if len(p) < 32+8 {
		return b, short
	}
	copy(b.Holder[:], p)
	b.Issued = binary.BigEndian.Uint64(p[32:])
	p = p[40:]
	for _, to := range []*string{&b.Name, &b.Team} {
		if len(p) < 1 || len(p) < 1+int(p[0]) {
			return b, short
		}
		*to = string(p[1 : 1+p[0]])
		p = p[1+p[0]:]
	}
	if len(p) != len(b.Sig) {
		return b, short
	}
	copy(b.Sig[:], p)
	return b, b.check()
}

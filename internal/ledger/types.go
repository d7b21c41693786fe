package ledger

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
)

// Amount is money in nneuro. There are never more than MaxSupply of them, so
// the sum of any accounts fits.
type Amount uint64

// Neuro is one NEURO.
const Neuro Amount = 1_000_000_000

// MaxSupply is the hard cap: 10^9 NEURO.
const MaxSupply = 1_000_000_000 * Neuro

// String is the amount in NEURO, without trailing zeros.
func (a Amount) String() string {
	whole, part := a/Neuro, a%Neuro
	if part == 0 {
		return fmt.Sprintf("%d NEURO", uint64(whole))
	}
	digits := fmt.Sprintf("%09d", uint64(part))
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return fmt.Sprintf("%d.%s NEURO", uint64(whole), digits)
}

// Key is an ed25519 public key: an account, and the node that has its private
// half.
type Key [32]byte

// KeyOf is the key of a private key.
func KeyOf(private ed25519.PrivateKey) Key { return Key(private.Public().(ed25519.PublicKey)) }

// String is the key in hex.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Key{}) {
		return Key{}, fmt.Errorf("%q is no key: want 64 hex digits", s)
	}
	return Key(b), nil
}

// Hash is a SHA-256 hash, a model's id or another content's name.
type Hash [32]byte

// String is the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Sig is an ed25519 signature.
type Sig [64]byte

// Session names one conversation between a client and a gate. The client draws
// it at random.
type Session [16]byte

// TxID names a submitted message.
type TxID = Hash

// Role is a set of bits: what a provider does.
type Role uint8

// The roles. A validator of the chain registers its beacon key here.
const (
	RoleGate Role = 1 << iota
	RoleHolder
	RoleValidator
	allRoles = RoleGate | RoleHolder | RoleValidator
)

// Class is a holder's numeric class: how far from exact arithmetic an honest
// result of it may lie.
type Class uint8

// The numeric classes.
const (
	ClassA  Class = iota // floats throughout
	ClassB               // activations in 8 bits, blocks of 32
	ClassC               // activations in 8 bits, blocks of 256
	classes = 3
)

// Seat is a member of a model's gating committee.
type Seat struct {
	Peer   Key
	Weight uint64 // by which it was drawn
	Until  uint64 // last epoch of its term
	Price  Amount // most that a token costs there in this epoch
}

// Errors that callers tell apart. Messages that fail have no effect.
var (
	ErrMalformed    = errors.New("malformed")
	ErrSignature    = errors.New("signature does not verify")
	ErrFunds        = errors.New("not enough funds")
	ErrUnknown      = errors.New("not on the ledger")
	ErrTooEarly     = errors.New("too early")
	ErrTooLate      = errors.New("too late")
	ErrUnauthorized = errors.New("not allowed")
	ErrCap          = errors.New("over a cap")
	ErrDuplicate    = errors.New("already on the ledger")
)

// Package account gives accounts of the ledger their addresses.
//
// An account is an ed25519 public key, the same as a node's identity among
// peers. Its address is the first 20 bytes of the key's SHA-256, as Cosmos
// chains derive it, written in bech32 with a prefix of ours. An address does not
// tell the key.
package account

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/cosmos/btcutil/bech32"
)

const (
	// Prefix begins every address as text.
	Prefix = "neuro"
	// Size is the bytes of an address.
	Size = 20
	// maxText bounds an address as text: bech32 allows no more.
	maxText = 90
)

// Address names an account.
type Address [Size]byte

// ErrAddress: a string is no address.
var ErrAddress = errors.New("not an address of an account")

// Of is the address of a public key.
func Of(key [32]byte) (a Address) {
	sum := sha256.Sum256(key[:])
	copy(a[:], sum[:])
	return a
}

// Module is the address of an account that a module of the chain has by its
// name, as "gov". Nobody has a key to it.
func Module(name string) (a Address) {
	sum := sha256.Sum256([]byte(name))
	copy(a[:], sum[:])
	return a
}

// String writes the address in bech32.
func (a Address) String() string {
	s, err := bech32.EncodeFromBase256(Prefix, a[:])
	if err != nil {
		return fmt.Sprintf("%s?%x", Prefix, a[:]) // 20 bytes always fit
	}
	return s
}

// Parse reads an address; capitals throughout are as good. The error wraps
// [ErrAddress].
func Parse(s string) (a Address, err error) {
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		return a, fmt.Errorf("%w: %d characters", ErrAddress, len(s))
	}
	prefix, b, err := bech32.DecodeToBase256(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("%w: %q: a character is wrong or missing (%v)", ErrAddress, s, err)
	case prefix != Prefix:
		return a, fmt.Errorf("%w: %q begins with %s, ours with %s", ErrAddress, s, prefix, Prefix)
	case len(b) != Size:
		return a, fmt.Errorf("%w: %q has %d bytes, an address %d", ErrAddress, s, len(b), Size)
	}
	copy(a[:], b)
	return a, nil
}

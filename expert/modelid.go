package expert

import (
	"encoding/hex"
	"fmt"
)

// ModelID names a model by content: the SHA-256 of its canonical manifest.
type ModelID [32]byte

// String gives all 64 hexadecimal digits.
func (m ModelID) String() string { return hex.EncodeToString(m[:]) }

// Short gives the first twelve digits, for people.
func (m ModelID) Short() string { return hex.EncodeToString(m[:6]) }

// ParseModelID reads the form that [ModelID.String] writes.
func ParseModelID(s string) (ModelID, error) {
	var m ModelID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(m) {
		return m, fmt.Errorf("model id %.80q: want %d hexadecimal digits", s, 2*len(m))
	}
	copy(m[:], b)
	return m, nil
}

// MarshalText and UnmarshalText give the form of [ModelID.String] in JSON.
func (m ModelID) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (m *ModelID) UnmarshalText(b []byte) error {
	id, err := ParseModelID(string(b))
	if err != nil {
		return err
	}
	*m = id
	return nil
}

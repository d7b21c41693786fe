package light

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/ledger"
)

// maxNote bounds the note of an event.
const maxNote = 256

// eventSize is an event without its note.
const eventSize = 1 + 8 + 8 + 32 + 32 + 8

// EventText writes an event as the chain's nodes tell it, in hex.
func EventText(e ledger.Event) string {
	b := make([]byte, 0, eventSize+len(e.Note))
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.Height)
	b = binary.BigEndian.AppendUint64(b, e.Epoch)
	b = append(append(b, e.Peer[:]...), e.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Amount))
	return hex.EncodeToString(append(b, e.Note[:min(len(e.Note), maxNote)]...))
}

// ParseEvent reads what EventText wrote. The error wraps ledger.ErrMalformed.
func ParseEvent(text string) (ledger.Event, error) {
	if len(text) > 2*(eventSize+maxNote) {
		return ledger.Event{}, fmt.Errorf("%w: an event of %d digits", ledger.ErrMalformed, len(text))
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) < eventSize {
		return ledger.Event{}, fmt.Errorf("%w: no event", ledger.ErrMalformed)
	}
	return ledger.Event{
		Kind: ledger.EventKind(b[0]), Height: binary.BigEndian.Uint64(b[1:]), Epoch: binary.BigEndian.Uint64(b[9:]),
		Peer: ledger.Key(b[17:49]), ID: ledger.Hash(b[49:81]), Amount: ledger.Amount(binary.BigEndian.Uint64(b[81:])),
		Note: string(b[eventSize:]),
	}, nil
}

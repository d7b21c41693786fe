package owner

import "time"

// Hold is the owner's word that the node should pause. The zero value says
// nothing.
type Hold struct {
	Paused bool
	Until  time.Time // zero: until the owner says otherwise
}

// At reports whether the word holds.
func (h Hold) At(now time.Time) bool {
	return h.Paused && (h.Until.IsZero() || now.Before(h.Until))
}

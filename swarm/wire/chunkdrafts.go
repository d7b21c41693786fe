package wire

import (
	"encoding/binary"
	"math"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// chunkDrafts is the flag of a chunk that tells of drafts: drafted u32 |
// accepted u32, before the token's bytes.
const (
	chunkDrafts      = 16
	chunkDraftsBytes = 8
)

// appendDrafts appends the counts, unless there are none.
func appendDrafts(b []byte, d prompt.Drafts) []byte {
	if d == (prompt.Drafts{}) {
		return b
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(d.Drafted))
	return binary.LittleEndian.AppendUint32(b, uint32(d.Accepted))
}

// validDrafts: no more can be accepted than were drafted.
func validDrafts(d prompt.Drafts) bool {
	return d.Accepted >= 0 && d.Accepted <= d.Drafted && d.Drafted <= math.MaxInt32
}

// parseDrafts reads the counts, if the flags name them. Counts of nothing are
// malformed.
func parseDrafts(k *cursor, flags uint8) (d prompt.Drafts, ok bool) {
	if flags&chunkDrafts == 0 {
		return d, true
	}
	d.Drafted, d.Accepted = int(k.u32()), int(k.u32())
	return d, validDrafts(d) && d.Drafted > 0
}

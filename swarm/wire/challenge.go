package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
)

const (
	// MaxChallengeRows bounds the rows of output that a challenge names. Those
	// who audit need 4 to 16.
	MaxChallengeRows = 32
	// maxChallengeBody is the size of so many rows of 32768 floats; the reply
	// has two of an expert's inner length, which is no longer.
	maxChallengeBody = 4 << 20
	// maxOpeningBody leaves room for twice as much.
	maxOpeningBody = 2 * maxChallengeBody
)

// Opening is the body of a challenge reply: the inner layer of the calls of a
// challenge, and the holder's signed word on its results. Package swarm says
// what is hashed and signed.
type Opening struct {
	At       time.Time // by the holder's clock, in whole milliseconds
	Call     expert.Digest
	Result   expert.Digest
	Sig      [64]byte
	Gate, Up expert.Batch // rows of output in the order of the calls, (rows, FF)
}

const openingFixed = 16 + 8 + 32 + 32 + 64 // body bytes before the rows

// AppendChallenge appends a challenge frame, which is a call frame of another
// kind. Sum is not allowed. An error wraps [expert.ErrBadCall].
func AppendChallenge(b []byte, id uint64, c Call) ([]byte, error) {
	if c.Sum || c.pairs() > MaxChallengeRows || c.format() != formatFloat32 || c.Half {
		return b, badCall("a challenge about %d rows, sum %v, format %d; at most %d, no sum, and floats", c.pairs(), c.Sum, c.format(), MaxChallengeRows)
	}
	start := len(b)
	b, err := AppendCall(b, id, c)
	if err != nil {
		return b, err
	}
	if n := len(b) - start - HeaderLen; n > maxChallengeBody {
		return b[:start], badCall("challenge of %d bytes, at most %d allowed", n, maxChallengeBody)
	}
	b[start+kindAt] = uint8(KindChallenge)
	return b, nil
}

// kindAt is where the kind stands in a header.
const kindAt = 5

// ParseChallenge reads a challenge frame's body as [ParseCall] does a call's.
func ParseChallenge(body []byte, c *Call) error {
	if err := ParseCall(body, c); err != nil {
		return err
	}
	if c.Sum || c.pairs() > MaxChallengeRows || c.format() != formatFloat32 || c.Half {
		return badCall("a challenge about %d rows, sum %v, format %d; at most %d, no sum, and floats", c.pairs(), c.Sum, c.format(), MaxChallengeRows)
	}
	return nil
}

// AppendOpening appends a challenge reply. It fails when the shapes of the two
// layers differ or the frame would be past its limit.
func AppendOpening(b []byte, id uint64, o Opening) ([]byte, error) {
	size := OpeningSize(o.Gate.Rows, o.Gate.Dim)
	switch {
	case o.Gate.Rows != o.Up.Rows || o.Gate.Dim != o.Up.Dim || len(o.Gate.Data) != o.Gate.Rows*o.Gate.Dim || len(o.Up.Data) != len(o.Gate.Data):
		return b, fmt.Errorf("%w: inner layers of (%d, %d) and (%d, %d)", expert.ErrBadResult, o.Gate.Rows, o.Gate.Dim, o.Up.Rows, o.Up.Dim)
	case size > maxOpeningBody:
		return b, fmt.Errorf("%w: challenge reply of %d bytes, at most %d allowed", ErrTooLarge, size, maxOpeningBody)
	}
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindOpening, id, size)
	b = append(b, formatFloat32, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(o.Gate.Rows))
	b = binary.LittleEndian.AppendUint32(b, uint32(o.Gate.Dim))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(o.At.UnixMilli()))
	b = append(b, o.Call[:]...)
	b = append(b, o.Result[:]...)
	b = append(b, o.Sig[:]...)
	b = appendNumbers(b, o.Gate.Data)
	return appendNumbers(b, o.Up.Data), nil
}

// OpeningSize is the body length of the challenge reply with so many rows of
// so many values.
func OpeningSize(rows, ff int) int { return openingFixed + 8*rows*ff }

// ParseOpening reads a challenge reply's body. The rows are views into body
// where the machine allows, and are finite. An error wraps
// [expert.ErrBadResult].
func ParseOpening(body []byte) (Opening, error) {
	k := cursor{b: body}
	format, reserved, more := k.u8(), k.u8(), k.u16()
	rows, ff := k.u32(), k.u32()
	last := k.u32()
	o := Opening{At: time.UnixMilli(int64(k.u64()))}
	copy(o.Call[:], k.take(len(o.Call)))
	copy(o.Result[:], k.take(len(o.Result)))
	copy(o.Sig[:], k.take(len(o.Sig)))
	switch {
	case k.short || format != formatFloat32 || reserved != 0 || more != 0 || last != 0:
		return Opening{}, fmt.Errorf("%w: challenge reply of format %d in %d bytes", expert.ErrBadResult, format, len(body))
	case rows == 0 || rows > MaxChallengeRows || ff == 0 || ff > MaxDim || uint64(len(k.b)) != 8*uint64(rows)*uint64(ff):
		return Opening{}, fmt.Errorf("%w: %d bytes of inner layers, shape (%d, %d)", expert.ErrBadResult, len(k.b), rows, ff)
	}
	n := 4 * int(rows) * int(ff)
	o.Gate = expert.Batch{Rows: int(rows), Dim: int(ff), Data: numbers[float32](k.take(n))}
	o.Up = expert.Batch{Rows: int(rows), Dim: int(ff), Data: numbers[float32](k.take(n))}
	if !expert.Finite(o.Gate.Data) || !expert.Finite(o.Up.Data) {
		return Opening{}, fmt.Errorf("%w: NaN or infinity", expert.ErrBadResult)
	}
	return o, nil
}

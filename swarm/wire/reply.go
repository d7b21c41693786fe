package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/moeswarm/moeswarm/expert"
)

// Meter is what a holder reports with a reply about its own work. Times
// travel in whole microseconds, at most about 71 minutes.
type Meter struct {
	Waiting int           // frames waiting at the holder when it answered
	Queued  time.Duration // how long this frame waited
	Compute time.Duration // how long the work on it took
}

// Reply is the body of a reply frame.
type Reply struct {
	Sum   bool
	Half  bool // the outputs came in half precision
	Meter Meter
	// Out holds the outputs: those of call 0, then those of call 1 …; for a
	// sum, one row per row sent.
	Out expert.Batch
}

const replyFixed = 24 // body bytes before the outputs

// AppendReply appends a reply frame with one output per call and row. It
// fails when results hold an error or differ in width, which is the fault of
// whoever computed them, and when the frame would be past [MaxFrame].
func AppendReply(b []byte, id uint64, m Meter, results []expert.Result) ([]byte, error) {
	return appendReply(b, id, answersFloat32, m, results)
}

// AppendHalfReply does so in half precision where that has room for all
// outputs, for a call that allows it.
func AppendHalfReply(b []byte, id uint64, m Meter, results []expert.Result) ([]byte, error) {
	for _, r := range results {
		if !fitsHalf(r.Out.Data) {
			return AppendReply(b, id, m, results)
		}
	}
	return appendReply(b, id, answersHalf, m, results)
}

func appendReply(b []byte, id uint64, format uint8, m Meter, results []expert.Result) ([]byte, error) {
	var out expert.Batch // shape alone
	for i, r := range results {
		if r.Err != nil {
			return b, fmt.Errorf("result %d: %w", i, r.Err)
		}
		if i > 0 && r.Out.Dim != out.Dim || len(r.Out.Data) != r.Out.Rows*r.Out.Dim {
			return b, fmt.Errorf("result %d: %w: shape (%d, %d) with %d values", i, expert.ErrBadResult, r.Out.Rows, r.Out.Dim, len(r.Out.Data))
		}
		out.Rows, out.Dim = out.Rows+r.Out.Rows, r.Out.Dim
	}
	b, err := appendReplyHead(b, id, modeEach, format, m, out)
	if err != nil {
		return b, err
	}
	for _, r := range results {
		if format == answersHalf {
			b = appendHalves(b, r.Out.Data)
		} else {
			b = appendNumbers(b, r.Out.Data)
		}
	}
	return b, nil
}

// outputsAlign is what the address of a reply's outputs is a multiple of: what a
// processor writes at once, and the most it reads.
const outputsAlign = 64

// ReplyRoom returns b's memory, or new memory where that has too little, for a reply
// with so many rows of outputs, and the place where those will be. [AppendReply]
// copies no outputs that are there, one result behind the other. On a machine of another byte order there is no
// such place.
func ReplyRoom(b []byte, rows, dim int) (frame []byte, outputs []float32) {
	const before = HeaderLen + replyFixed
	size := before + 4*rows*dim
	b = b[:cap(b)]
	skip := toAlign(b, before)
	if len(b) < skip+size {
		b = make([]byte, ReplyRoomSize(rows, dim))
		skip = toAlign(b, before)
	}
	frame = b[skip:]
	if !littleEndian() || rows*dim == 0 {
		return frame[:0], nil
	}
	return frame[:0], unsafe.Slice((*float32)(unsafe.Pointer(&frame[before])), rows*dim)
}

// toAlign is how much of b is to be left out for what follows so many bytes to be
// aligned.
func toAlign(b []byte, before int) int {
	return -(int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%outputsAlign) + before) & (outputsAlign - 1)
}

// AppendSum appends a reply frame with the weighted sum, one row per row of
// the call frame. It fails as [AppendReply] does.
func AppendSum(b []byte, id uint64, m Meter, sum expert.Batch) ([]byte, error) {
	if len(sum.Data) != sum.Rows*sum.Dim {
		return b, fmt.Errorf("%w: shape (%d, %d) with %d values", expert.ErrBadResult, sum.Rows, sum.Dim, len(sum.Data))
	}
	b, err := appendReplyHead(b, id, modeSum, answersFloat32, m, sum)
	if err != nil {
		return b, err
	}
	return appendNumbers(b, sum.Data), nil
}

func appendReplyHead(b []byte, id uint64, mode, format uint8, m Meter, out expert.Batch) ([]byte, error) {
	size := replyFixed + valueSize(format)*out.Rows*out.Dim
	if size > MaxBody(KindReply) {
		return b, fmt.Errorf("%w: frame of %d bytes, at most %d allowed", ErrTooLarge, size, MaxFrame)
	}
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindReply, id, size)
	b = append(b, mode, format, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, saturate(int64(m.Waiting)))
	b = binary.LittleEndian.AppendUint32(b, micros(m.Queued))
	b = binary.LittleEndian.AppendUint32(b, micros(m.Compute))
	b = binary.LittleEndian.AppendUint32(b, uint32(out.Rows))
	return binary.LittleEndian.AppendUint32(b, uint32(out.Dim)), nil
}

// valueSize is the bytes of a value in a reply of this format.
func valueSize(format uint8) int {
	if format == answersHalf {
		return 2
	}
	return 4
}

// HalfReplySize is the body length of a reply in half precision.
func HalfReplySize(rows, dim int) int { return replyFixed + 2*rows*dim }

// ReplySize is the body length of the one reply that fits a call: what a
// receiver makes room for, and not a byte more.
func ReplySize(rows, dim int) int { return replyFixed + 4*rows*dim }

// ReplyRoomSize is how much memory [ReplyRoom] can always use.
func ReplyRoomSize(rows, dim int) int { return HeaderLen + ReplySize(rows, dim) + outputsAlign }

// ParseReply reads a reply frame's body. The outputs are a view into body
// where the machine allows, and are finite. An error wraps
// [expert.ErrBadResult].
func ParseReply(body []byte) (Reply, error) {
	k := cursor{b: body}
	m, format, reserved := k.u8(), k.u8(), k.u16()
	meter := Meter{Waiting: int(k.u32()), Queued: fromMicros(k.u32()), Compute: fromMicros(k.u32())}
	rows, dim := k.u32(), k.u32()
	switch {
	case k.short || m > modeSum || format > answersHalf || reserved != 0:
		return Reply{}, fmt.Errorf("%w: mode %d, format %d in %d bytes", expert.ErrBadResult, m, format, len(body))
	case uint64(len(k.b)) != uint64(valueSize(format))*uint64(rows)*uint64(dim) || rows > math.MaxInt32 || dim > MaxDim:
		return Reply{}, fmt.Errorf("%w: %d bytes of outputs, shape (%d, %d)", expert.ErrBadResult, len(k.b), rows, dim)
	}
	out := expert.Batch{Rows: int(rows), Dim: int(dim)}
	if format == answersHalf {
		out.Data = halves(k.b)
	} else {
		out.Data = numbers[float32](k.b)
	}
	if !expert.Finite(out.Data) {
		return Reply{}, fmt.Errorf("%w: NaN or infinity", expert.ErrBadResult)
	}
	return Reply{Sum: m == modeSum, Half: format == answersHalf, Meter: meter, Out: out}, nil
}

func micros(d time.Duration) uint32 { return saturate(d.Microseconds()) }

func fromMicros(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }

func saturate(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

package wire

import (
	"encoding/binary"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// Call is the body of a call frame: calls of one layer on rows of one batch.
type Call struct {
	In    expert.Batch
	Calls []expert.Call
	Sum   bool // want the weighted sum, not one output per call and row
	// Codes stand for In and travel instead of its floats, unless they are
	// empty.
	Codes expert.Codes
	// Half says that outputs in half precision will do. Not with Sum.
	Half bool

	made made // memory of ParseCall's, for the next one
}

const (
	callFixed    = 48 // body bytes before the first call
	perCallFixed = 8  // bytes of a call before its rows

	modeEach = 0
	modeSum  = 1

	formatFloat32   = 0
	formatBlocks32  = 1 // codes that share an extreme by 32
	formatBlocks256 = 2 // by 256
)

// What answers may come as; the formats of a reply.
const (
	answersFloat32 = 0
	answersHalf    = 1 // half precision where it has room, else float32
)

// format is how the rows of c travel.
func (c Call) format() uint8 {
	switch {
	case c.Codes.Rows == 0:
		return formatFloat32
	case c.Codes.Block == 256:
		return formatBlocks256
	}
	return formatBlocks32
}

// blockOf is how many codes of a format share an extreme; 0: it has none.
func blockOf(format uint8) int {
	switch format {
	case formatBlocks32:
		return 32
	case formatBlocks256:
		return 256
	}
	return 0
}

// rowSize is the bytes of a row.
func rowSize(format uint8, dim int) int {
	if block := blockOf(format); block > 0 {
		return 4*(dim/block) + dim
	}
	return 4 * dim
}

// AppendCall appends a call frame. Only the rows that some call names go in.
// An error wraps [expert.ErrBadCall]: the calls do not fit the batch, or the
// frame would be past a limit (ask in several frames then).
func AppendCall(b []byte, id uint64, c Call) ([]byte, error) {
	if len(c.Calls) == 0 {
		return b, badCall("no calls")
	}
	if err := expert.CheckCalls(c.In, c.Calls); err != nil {
		return b, err
	}
	if err := c.checkLimits(); err != nil {
		return b, err
	}
	if c.Half && c.Sum {
		return b, badCall("a sum in half precision")
	}
	if c.format() != formatFloat32 {
		if c.Codes.Rows != c.In.Rows || c.Codes.Dim != c.In.Dim {
			return b, badCall("codes of (%d, %d) for a batch of (%d, %d)", c.Codes.Rows, c.Codes.Dim, c.In.Rows, c.In.Dim)
		}
		if err := c.Codes.Check(); err != nil {
			return b, err
		}
	}
	used := UsedRows(c.In.Rows, c.Calls)
	rows := c.In.Rows
	if used != nil {
		rows = len(used)
	}
	size := c.size(rows)
	if size > MaxBody(KindCall) {
		return b, badCall("frame of %d bytes, at most %d allowed", size, MaxFrame)
	}

	start := len(b)
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindCall, id, size)
	first := c.Calls[0].Expert
	b = append(b, first.Model[:]...)
	b = binary.LittleEndian.AppendUint16(b, first.Layer)
	b = append(b, mode(c.Sum), c.format())
	b = binary.LittleEndian.AppendUint32(b, uint32(rows))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.In.Dim))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Calls)))
	b = append(b, answers(c.Half), 0)
	b = c.appendCalls(b, used)
	b, err := c.appendRows(b, used)
	if err != nil {
		return b[:start], err
	}
	return b, nil
}

// appendRows appends the rows that travel. A number that is not finite is
// found here, where the blame is still clear.
func (c Call) appendRows(b []byte, used []int32) ([]byte, error) {
	if used == nil && c.format() == formatFloat32 {
		if !expert.Finite(c.In.Data) {
			return b, badCall("NaN or infinity in the rows")
		}
		return appendNumbers(b, c.In.Data), nil
	}
	n := c.In.Rows
	if used != nil {
		n = len(used)
	}
	for i := range n {
		r := i
		if used != nil {
			r = int(used[i])
		}
		row := c.In.Row(r)
		if !expert.Finite(row) {
			return b, badCall("NaN or infinity in row %d", r)
		}
		if c.format() == formatFloat32 {
			b = appendNumbers(b, row)
		} else {
			b = appendCodes(b, c.Codes, r)
		}
	}
	return b, nil
}

// appendCodes appends row r of codes: its extremes, then its values.
func appendCodes(b []byte, c expert.Codes, r int) []byte {
	blocks := c.Dim / c.Block
	b = appendNumbers(b, c.Extremes[r*blocks:(r+1)*blocks])
	return append(b, asBytes(c.Values[r*c.Dim:(r+1)*c.Dim])...)
}

// appendCalls appends what each call names. used says which of the batch's
// rows travel, nil for all.
func (c Call) appendCalls(b []byte, used []int32) []byte {
	var place []int32 // row of the batch → its number within the frame
	if used != nil {
		place = make([]int32, c.In.Rows)
		for i, r := range used {
			place[r] = int32(i)
		}
	}
	for _, call := range c.Calls {
		b = binary.LittleEndian.AppendUint16(b, call.Expert.Index)
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(call.Rows)))
		if used == nil {
			b = appendNumbers(b, call.Rows)
		} else {
			for _, r := range call.Rows {
				b = binary.LittleEndian.AppendUint32(b, uint32(place[r]))
			}
		}
		if c.Sum {
			b = appendNumbers(b, call.Weights)
		}
	}
	return b
}

// UsedRows returns the rows, ascending, that some call names out of a batch of
// so many rows, or nil when every row is named. A sum answers these rows.
func UsedRows(rows int, calls []expert.Call) []int32 {
	var small [256]bool // decoding: no allocation
	named := small[:min(rows, len(small))]
	if rows > len(small) {
		named = make([]bool, rows)
	}
	n := 0
	for _, c := range calls {
		for _, r := range c.Rows {
			if !named[r] {
				named[r] = true
				n++
			}
		}
	}
	if n == rows {
		return nil
	}
	used := make([]int32, 0, n)
	for r, yes := range named {
		if yes {
			used = append(used, int32(r))
		}
	}
	return used
}

// pairs counts the rows of all calls: the rows of output before any summing.
func (c Call) pairs() int {
	n := 0
	for _, call := range c.Calls {
		n += len(call.Rows)
	}
	return n
}

// Fits reports whether so many calls, which name so many rows of that width
// in all, go into one frame however few of the rows are the same. Where it
// says no, [AppendCall] has the last word.
func Fits(calls, pairs, dim int) bool {
	return calls <= MaxCalls && 4*dim*pairs <= MaxWork &&
		callFixed+perCallFixed*calls+8*pairs+4*dim*pairs <= MaxBody(KindCall)
}

// size is the length of the body when so many rows travel.
func (c Call) size(rows int) int {
	perPair := 4
	if c.Sum {
		perPair = 8
	}
	return callFixed + perCallFixed*len(c.Calls) + perPair*c.pairs() + rows*rowSize(c.format(), c.In.Dim)
}

// MostBytes is how long the frame of a call is at most: as long as it is where each of
// its rows is used by one expert.
func (c Call) MostBytes() int { return HeaderLen + c.size(min(c.In.Rows, c.pairs())) }

// checkLimits reports what is past a limit, and weights that are missing or
// not finite. The calls already fit the batch.
func (c Call) checkLimits() error {
	switch {
	case len(c.Calls) > MaxCalls:
		return badCall("%d calls in a frame, at most %d allowed", len(c.Calls), MaxCalls)
	case c.In.Rows > MaxRows || c.In.Dim > MaxDim:
		return badCall("batch (%d, %d), at most (%d, %d) allowed", c.In.Rows, c.In.Dim, MaxRows, MaxDim)
	case 4*c.In.Dim*c.In.Rows > MaxFrame && c.format() != formatFloat32:
		return badCall("codes for a batch of (%d, %d), more than floats may fill a frame", c.In.Rows, c.In.Dim)
	case 4*c.In.Dim*c.pairs() > MaxWork:
		return badCall("outputs of %d bytes, at most %d allowed in a frame", 4*c.In.Dim*c.pairs(), MaxWork)
	}
	if !c.Sum {
		return nil
	}
	for i, call := range c.Calls {
		if len(call.Weights) != len(call.Rows) || !expert.Finite(call.Weights) {
			return badCall("call %d (%v) has %d finite weights for %d rows", i, call.Expert, len(call.Weights), len(call.Rows))
		}
	}
	return nil
}

func answers(half bool) uint8 {
	if half {
		return answersHalf
	}
	return answersFloat32
}

func mode(sum bool) uint8 {
	if sum {
		return modeSum
	}
	return modeEach
}

package wire

import (
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
)

// made is memory that ParseCall has made for a Call.
type made struct {
	rows  []float32 // widened
	codes expert.Codes
}

// Forget lets go of all that c has, but for up to so many bytes of memory for the
// next ParseCall into it.
func (c *Call) Forget(keep int) {
	clear(c.Calls)
	*c = Call{Calls: c.Calls[:0], made: c.made}
	if 4*cap(c.made.rows) > keep {
		c.made = made{}
	}
}

// ParseCall reads a call frame's body into c, reusing the memory of c.Calls.
// The batch, the rows and the weights are views into body where the machine
// allows, else copies; rows that came as codes are widened to floats besides, in
// memory of an earlier ParseCall into c, whose rows are then lost. What it
// accepts is in order: shapes fit, rows are in range and named once a call, numbers
// are finite, limits are kept. An error wraps [expert.ErrBadCall].
func ParseCall(body []byte, c *Call) error {
	k := cursor{b: body}
	var first expert.ID
	copy(first.Model[:], k.take(len(first.Model)))
	first.Layer = k.u16()
	m, format := k.u8(), k.u8()
	rows, dim := k.u32(), k.u32()
	calls := int(k.u16())
	half, reserved := k.u8(), k.u8()
	switch {
	case k.short:
		return badCall("%d bytes are too few for a call", len(body))
	case m > modeSum || reserved != 0 || half > answersHalf || half == answersHalf && m == modeSum:
		return badCall("mode %d, answers %d are unknown", m, half)
	case format > formatBlocks256:
		return badCall("row format %d is unknown", format)
	case rows == 0 || rows > MaxRows || dim == 0 || dim > MaxDim:
		return badCall("batch (%d, %d), at most (%d, %d) allowed", rows, dim, MaxRows, MaxDim)
	case calls == 0 || calls > MaxCalls:
		return badCall("%d calls in a frame, 1 to %d allowed", calls, MaxCalls)
	}
	c.Sum, c.Half = m == modeSum, half == answersHalf
	c.Calls = c.Calls[:0]
	for i := range calls {
		call, err := parseOneCall(&k, first, c.Sum)
		if err != nil {
			return fmt.Errorf("call %d of %d: %w", i, calls, err)
		}
		c.Calls = append(c.Calls, call)
	}
	if err := c.parseRows(k.b, format, int(rows), int(dim)); err != nil {
		return err
	}
	if err := expert.CheckCalls(c.In, c.Calls); err != nil {
		return err
	}
	return c.checkLimits()
}

// parseRows reads what a call frame ends with.
func (c *Call) parseRows(b []byte, format uint8, rows, dim int) error {
	block := blockOf(format)
	if block > 0 && (dim%block != 0 || 4*rows*dim > MaxFrame) {
		return badCall("codes of (%d, %d) in blocks of %d", rows, dim, block)
	}
	if want := rows * rowSize(format, dim); len(b) != want {
		return badCall("%d bytes of rows, (%d, %d) takes %d", len(b), rows, dim, want)
	}
	c.Codes = expert.Codes{}
	if block == 0 {
		c.In = expert.Batch{Rows: rows, Dim: dim, Data: numbers[float32](b)}
		if !expert.Finite(c.In.Data) {
			return badCall("NaN or infinity in the rows")
		}
		return nil
	}
	codes := c.made.parseCodes(b, rows, dim, block)
	if err := codes.Check(); err != nil {
		return err
	}
	c.made.rows = slices.Grow(c.made.rows[:0], rows*dim)[:rows*dim]
	c.Codes, c.In = codes, expert.Batch{Rows: rows, Dim: dim, Data: c.made.rows}
	codes.Floats(c.In.Data)
	return nil
}

// parseCodes reads rows of codes, each its extremes and then its values. One row
// is as codes lie in memory.
func (m *made) parseCodes(b []byte, rows, dim, block int) expert.Codes {
	blocks := dim / block
	codes := expert.Codes{Rows: rows, Dim: dim, Block: block}
	if rows == 1 {
		codes.Extremes, codes.Values = numbers[float32](b[:4*blocks]), asCodes(b[4*blocks:])
		return codes
	}
	codes.Extremes, codes.Values = m.codes.Extremes[:0], m.codes.Values[:0]
	for range rows {
		codes.Extremes = append(codes.Extremes, numbers[float32](b[:4*blocks])...)
		codes.Values = append(codes.Values, asCodes(b[4*blocks:][:dim])...)
		b = b[4*blocks+dim:]
	}
	m.codes = codes
	return codes
}

// parseOneCall reads the part of a call frame about one expert.
func parseOneCall(k *cursor, first expert.ID, sum bool) (expert.Call, error) {
	index, reserved, n := k.u16(), k.u16(), k.u32()
	if reserved != 0 || n == 0 || int64(n) > int64(len(k.b)/4) {
		return expert.Call{}, badCall("%d rows named in %d bytes", n, len(k.b))
	}
	first.Index = index
	call := expert.Call{Expert: first, Rows: numbers[int32](k.take(4 * int(n)))}
	if sum {
		call.Weights = numbers[float32](k.take(4 * int(n)))
	}
	if k.short {
		return expert.Call{}, badCall("cut off after %d rows", n)
	}
	return call, nil
}

func badCall(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{expert.ErrBadCall}, args...)...)
}

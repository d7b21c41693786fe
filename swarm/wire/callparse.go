package wire

import (
	"fmt"

	"github.com/moeswarm/moeswarm/expert"
)

// ParseCall reads a call frame's body into c, reusing the memory of c.Calls.
// The batch, the rows and the weights are views into body where the machine
// allows, else copies. What it accepts is in order: shapes fit, rows are in
// range and named once a call, numbers are finite, limits are kept. An error
// wraps [expert.ErrBadCall].
func ParseCall(body []byte, c *Call) error {
	k := cursor{b: body}
	var first expert.ID
	copy(first.Model[:], k.take(len(first.Model)))
	first.Layer = k.u16()
	m, format := k.u8(), k.u8()
	rows, dim := k.u32(), k.u32()
	calls := int(k.u16())
	reserved := k.u16()
	switch {
	case k.short:
		return badCall("%d bytes are too few for a call", len(body))
	case m > modeSum || reserved != 0:
		return badCall("mode %d is unknown", m)
	case format != formatFloat32:
		return badCall("row format %d is unknown", format)
	case rows == 0 || rows > MaxRows || dim == 0 || dim > MaxDim:
		return badCall("batch (%d, %d), at most (%d, %d) allowed", rows, dim, MaxRows, MaxDim)
	case calls == 0 || calls > MaxCalls:
		return badCall("%d calls in a frame, 1 to %d allowed", calls, MaxCalls)
	}
	c.Sum = m == modeSum
	c.Calls = c.Calls[:0]
	for i := range calls {
		call, err := parseOneCall(&k, first, c.Sum)
		if err != nil {
			return fmt.Errorf("call %d of %d: %w", i, calls, err)
		}
		c.Calls = append(c.Calls, call)
	}
	if want := 4 * int(rows) * int(dim); len(k.b) != want {
		return badCall("%d bytes of rows, (%d, %d) takes %d", len(k.b), rows, dim, want)
	}
	c.In = expert.Batch{Rows: int(rows), Dim: int(dim), Data: numbers[float32](k.b)}
	if !Finite(c.In.Data) {
		return badCall("NaN or infinity in the rows")
	}
	if err := expert.CheckCalls(c.In, c.Calls); err != nil {
		return err
	}
	return c.checkLimits()
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

package ledger

import (
	"encoding/binary"
	"fmt"
)

// coder writes a record or reads one; every record describes its fields once,
// for both. Numbers are big-endian and of fixed width, booleans 0 or 1, lists
// and strings have a u32 count first, so that a record has one encoding only.
type coder struct {
	buf     []byte
	reading bool
	err     error
}

// version is the first byte of every record.
const version = 1

// commonSize has room for most records.
const commonSize = 320

// Record is what has a canonical encoding: messages, signed statements, and
// values of the state.
type Record interface{ code(c *coder) }

// Encode returns the canonical bytes of a record.
func Encode(r Record) []byte {
	c := coder{buf: append(make([]byte, 0, commonSize), version)}
	r.code(&c)
	if c.err != nil {
		// A record past its own limits is a mistake of this program; state and
		// senders check before they encode.
		panic(c.err)
	}
	return c.buf
}

// Decode reads the canonical bytes of a record into r, which is zero before.
// An error wraps ErrMalformed; r is then of no use.
func Decode(b []byte, r Record) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("%w: not of version %d", ErrMalformed, version)
	}
	c := coder{buf: b[1:], reading: true}
	r.code(&c)
	if c.err == nil && len(c.buf) > 0 {
		c.fail("%d bytes too many", len(c.buf))
	}
	return c.err
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// bytes writes b, or fills it.
func (c *coder) bytes(b []byte) {
	switch {
	case c.err != nil:
	case !c.reading:
		c.buf = append(c.buf, b...)
	case len(c.buf) < len(b):
		c.fail("%d bytes missing", len(b)-len(c.buf))
	default:
		copy(b, c.buf)
		c.buf = c.buf[len(b):]
	}
}

func (c *coder) u8(v *uint8) {
	b := [1]byte{*v}
	c.bytes(b[:])
	*v = b[0]
}

func (c *coder) u16(v *uint16) {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], *v)
	c.bytes(b[:])
	*v = binary.BigEndian.Uint16(b[:])
}

func (c *coder) u32(v *uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], *v)
	c.bytes(b[:])
	*v = binary.BigEndian.Uint32(b[:])
}

func (c *coder) u64(v *uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], *v)
	c.bytes(b[:])
	*v = binary.BigEndian.Uint64(b[:])
}

func (c *coder) amount(v *Amount)   { c.u64((*uint64)(v)) }
func (c *coder) key(k *Key)         { c.bytes(k[:]) }
func (c *coder) hash(h *Hash)       { c.bytes(h[:]) }
func (c *coder) sig(s *Sig)         { c.bytes(s[:]) }
func (c *coder) session(s *Session) { c.bytes(s[:]) }

func (c *coder) bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	c.u8(&b)
	if b > 1 {
		c.fail("a boolean of %d", b)
	}
	*v = b == 1
}

// text is a string of at most limit bytes of printable ASCII: names shown to
// people on the ledger shall not deceive them.
func (c *coder) text(s *string, limit int) {
	b := c.blob([]byte(*s), limit)
	for _, ch := range b {
		if ch < ' ' || ch > '~' {
			c.fail("a text with byte %#x", ch)
		}
	}
	if c.reading {
		*s = string(b)
	}
}

// blob is a string of at most limit bytes.
func (c *coder) blob(b []byte, limit int) []byte {
	n := c.count(len(b), limit, 1)
	if c.reading {
		b = make([]byte, n)
	}
	c.bytes(b)
	return b
}

// count is the length of a list of at most limit elements, each of least bytes
// or more: nothing is allocated for elements that cannot be there.
func (c *coder) count(n, limit, least int) int {
	v := uint32(n)
	c.u32(&v)
	if c.err == nil && v > uint32(limit) {
		c.fail("a list of %d, at most %d allowed", v, limit)
	}
	if c.err == nil && c.reading && int(v)*least > len(c.buf) {
		c.fail("a list of %d is cut short", v)
	}
	if c.err != nil {
		return 0
	}
	return int(v)
}

// list is a list of at most limit elements. An empty one reads as nil.
func list[T any](c *coder, s *[]T, limit, least int, each func(*coder, *T)) {
	n := c.count(len(*s), limit, least)
	if c.reading {
		*s = nil
		if n > 0 {
			*s = make([]T, n)
		}
	}
	for i := range n {
		each(c, &(*s)[i])
		if c.err != nil {
			return
		}
	}
}

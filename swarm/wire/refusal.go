package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// NoExpert in a [Refusal] says that no single expert is at fault.
const NoExpert = 0xffff

// Refusal answers a call that is not carried out.
type Refusal struct {
	Code   Code
	Wait   time.Duration // until it is worth asking again; 0: not said
	Expert uint16        // index of the expert at fault, or [NoExpert]
	Detail string        // for people; cut to [MaxDetail] bytes
}

const refusalFixed = 7

// AppendRefusal appends a refusal frame.
func AppendRefusal(b []byte, id uint64, r Refusal) []byte {
	detail := clip(r.Detail)
	b = appendHeader(b, KindRefusal, id, refusalFixed+len(detail))
	b = append(b, uint8(r.Code))
	b = binary.LittleEndian.AppendUint32(b, micros(r.Wait))
	b = binary.LittleEndian.AppendUint16(b, r.Expert)
	return append(b, detail...)
}

// ParseRefusal reads a refusal frame's body. An error wraps [ErrFormat].
func ParseRefusal(body []byte) (Refusal, error) {
	k := cursor{b: body}
	r := Refusal{Code: Code(k.u8()), Wait: fromMicros(k.u32()), Expert: k.u16()}
	if k.short || len(k.b) > MaxDetail {
		return Refusal{}, fmt.Errorf("%w: refusal of %d bytes", ErrFormat, len(body))
	}
	r.Detail = clip(string(k.b))
	return r, nil
}

// clip makes a stranger's text fit for a log: printable UTF-8, one line, at
// most [MaxDetail] bytes. No replacement is longer than what it replaces.
func clip(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), MaxDetail)], "?")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

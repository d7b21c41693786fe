package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Pong answers a ping.
type Pong struct {
	Waiting int           // frames waiting at the holder
	Queued  time.Duration // how long a call that came now would wait
	Payload []byte        // that of the ping; a view into the body
}

const pongFixed = 8

// AppendPing appends a ping frame. A payload past [MaxPing] is cut.
func AppendPing(b []byte, id uint64, payload []byte) []byte {
	payload = payload[:min(len(payload), MaxPing)]
	b = appendHeader(b, KindPing, id, len(payload))
	return append(b, payload...)
}

// AppendPong appends a pong frame. A payload past [MaxPing] is cut.
func AppendPong(b []byte, id uint64, p Pong) []byte {
	payload := p.Payload[:min(len(p.Payload), MaxPing)]
	b = appendHeader(b, KindPong, id, pongFixed+len(payload))
	b = binary.LittleEndian.AppendUint32(b, saturate(int64(p.Waiting)))
	b = binary.LittleEndian.AppendUint32(b, micros(p.Queued))
	return append(b, payload...)
}

// ParsePong reads a pong frame's body. An error wraps [ErrFormat].
func ParsePong(body []byte) (Pong, error) {
	k := cursor{b: body}
	p := Pong{Waiting: int(k.u32()), Queued: fromMicros(k.u32())}
	if k.short {
		return Pong{}, fmt.Errorf("%w: pong of %d bytes", ErrFormat, len(body))
	}
	p.Payload = k.b
	return p, nil
}

// PongSize is the body length of the answer to a ping of so many bytes.
func PongSize(payload int) int { return pongFixed + payload }

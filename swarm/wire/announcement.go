package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/moeswarm/moeswarm/expert"
)

// Announcement is a node's statement about one model: which experts it holds
// and how busy it is. Who states it is known from the carrier, a signed gossip
// message or a secured stream.
type Announcement struct {
	Model   expert.ModelID
	Name    string // of the model, for people; printable, at most [MaxName] bytes
	Gates   bool   // runs the trunk, so it takes prompts
	Leaving bool   // serves nothing from now on
	Waiting uint32 // frames in its queue
	Expires time.Time
	// Layers and Experts are the model's shape: layers over all, experts a
	// layer. Both are 0 for a node that says nothing about holdings.
	Layers, Experts int
	// Held has ⌈Experts/8⌉ bytes a layer, lowest bit first; see [NewHeld].
	Held []byte
}

const (
	announcementFixed = 32 + 1 + 1 + 2 + 2 + 2 + 4 + 8

	announceGates   = 1 // flags
	announceLeaving = 2
)

// NewHeld returns an empty bitmap for a model of that shape.
func NewHeld(layers, experts int) []byte { return make([]byte, layers*stride(experts)) }

// stride is the number of bytes that a layer's experts take.
func stride(experts int) int { return (experts + 7) / 8 }

// Hold marks an expert as held. It must be within the shape.
func (a *Announcement) Hold(layer, index int) {
	a.Held[layer*stride(a.Experts)+index/8] |= 1 << (index % 8)
}

// Holds reports whether an expert is held; one outside the shape is not.
func (a *Announcement) Holds(layer, index int) bool {
	if layer < 0 || layer >= a.Layers || index < 0 || index >= a.Experts {
		return false
	}
	return a.Held[layer*stride(a.Experts)+index/8]&(1<<(index%8)) != 0
}

// AppendAnnouncement appends an announcement frame. An error wraps
// [ErrFormat]: the statement does not fit its own shape, or the limits.
func AppendAnnouncement(b []byte, a Announcement) ([]byte, error) {
	if err := a.check(); err != nil {
		return b, err
	}
	var flags uint8
	if a.Gates {
		flags |= announceGates
	}
	if a.Leaving {
		flags |= announceLeaving
	}
	size := announcementFixed + len(a.Name) + len(a.Held)
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindAnnouncement, 0, size)
	b = append(b, a.Model[:]...)
	b = append(b, flags, uint8(len(a.Name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Layers))
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Experts))
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, a.Waiting)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Expires.UnixMilli()))
	b = append(b, a.Name...)
	return append(b, a.Held...), nil
}

// ParseAnnouncement reads an announcement frame's body. It shares no memory
// with it. An error wraps [ErrFormat].
func ParseAnnouncement(body []byte) (Announcement, error) {
	var a Announcement
	k := cursor{b: body}
	copy(a.Model[:], k.take(len(a.Model)))
	flags, name := k.u8(), int(k.u8())
	a.Layers, a.Experts = int(k.u16()), int(k.u16())
	reserved := k.u16()
	a.Waiting = k.u32()
	expires := k.u64()
	a.Name = string(k.take(name))
	if k.short || flags&^(announceGates|announceLeaving) != 0 || reserved != 0 || expires > maxUnixMilli {
		return Announcement{}, fmt.Errorf("%w: announcement of %d bytes", ErrFormat, len(body))
	}
	a.Gates, a.Leaving = flags&announceGates != 0, flags&announceLeaving != 0
	a.Expires = time.UnixMilli(int64(expires))
	a.Held = k.b
	if err := a.check(); err != nil {
		return Announcement{}, err
	}
	a.Held = slices.Clone(a.Held)
	return a, nil
}

// maxUnixMilli is the last moment that [time.Time.UnixNano] can name, in the
// year 2262.
const maxUnixMilli = math.MaxInt64 / 1_000_000

func (a *Announcement) check() error {
	switch {
	case len(a.Name) > MaxName || !printable(a.Name):
		return fmt.Errorf("%w: model name of %d bytes, at most %d printable ones allowed", ErrFormat, len(a.Name), MaxName)
	case a.Layers < 0 || a.Layers > MaxLayers || a.Experts < 0 || a.Experts > MaxExperts || (a.Layers == 0) != (a.Experts == 0):
		return fmt.Errorf("%w: %d layers of %d experts, at most %d of %d allowed", ErrFormat, a.Layers, a.Experts, MaxLayers, MaxExperts)
	case len(a.Held) != a.Layers*stride(a.Experts):
		return fmt.Errorf("%w: bitmap of %d bytes for %d layers of %d experts", ErrFormat, len(a.Held), a.Layers, a.Experts)
	case a.Expires.UnixMilli() < 0 || a.Expires.UnixMilli() > maxUnixMilli:
		return fmt.Errorf("%w: expires at %v", ErrFormat, a.Expires)
	}
	if used := a.Experts % 8; used != 0 {
		for i := stride(a.Experts) - 1; i < len(a.Held); i += stride(a.Experts) {
			if a.Held[i]>>used != 0 {
				return fmt.Errorf("%w: bitmap names experts past %d", ErrFormat, a.Experts)
			}
		}
	}
	return nil
}

// printable reports whether s is text that a terminal shows as it is.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

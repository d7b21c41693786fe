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
	Paused  bool   // holds what it says, and computes nothing for now
	// MayGate: the node gates if the swarm has too few that do. WillGate: it is
	// about to, and fetches the trunk; it ends with the announcement.
	MayGate, WillGate bool

	Waiting uint16 // frames in its queue
	// Prompts is how many prompts wait at a node that gates.
	Prompts uint16
	Expires time.Time
	// Layers and Experts are the model's shape: layers over all, experts a
	// layer. Both are 0 for a node that says nothing about holdings.
	Layers, Experts int
	// Dense is how many layers come before the first that has experts, and
	// Skip how many lie between one that has and the next: 0 in nearly all
	// models.
	Dense, Skip int
	// Memory is what the node gives to experts that it chooses itself, in
	// units of [MemoryUnit] bytes; 0: it does not choose.
	Memory uint16
	// Price of a token, prompt and answer, in nneuro; 0: it takes none.
	Price uint64
	// Held has ⌈Experts/8⌉ bytes a layer, lowest bit first; see [NewHeld].
	Held []byte
	// Wanted, in the same form, names experts that are about to change hands:
	// one that is not held is being fetched, one that is held should be taken
	// over by others. nil: none. It ends with the announcement.
	Wanted []byte
	// Demand, where a gating node has measured it, has a byte for each expert,
	// layer by layer; see [DemandCode]. nil: not said this time.
	Demand []byte
}

// MemoryUnit is the unit of [Announcement.Memory]: 64 MiB, up to 4 TiB.
const MemoryUnit = 64 << 20

// DemandCode writes how often an expert is asked for, the average expert of
// its layer being 1, as a byte: eighths of powers of two around 128.
func DemandCode(demand float64) uint8 {
	if !(demand > 0) {
		return 0
	}
	return uint8(max(1, min(255, math.Round(128+8*math.Log2(demand)))))
}

// DemandOf reads a [DemandCode].
func DemandOf(code uint8) float64 {
	if code == 0 {
		return 0
	}
	return math.Exp2((float64(code) - 128) / 8)
}

const (
	announcementFixed = 32 + 1 + 1 + 2 + 2 + 2 + 2 + 2 + 8

	maxDense = 255 // Dense and Skip are a byte each

	announceGates   = 1 // flags
	announceLeaving = 2
	announcePaused  = 4
	announceWanted  = 8
	announceDemand  = 16
	announceDense   = 32
	announceMay     = 64
	announceWill    = 128
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

// Want marks an expert as about to change hands. It must be within the shape.
func (a *Announcement) Want(layer, index int) {
	if a.Wanted == nil {
		a.Wanted = NewHeld(a.Layers, a.Experts)
	}
	a.Wanted[layer*stride(a.Experts)+index/8] |= 1 << (index % 8)
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
	if a.Paused {
		flags |= announcePaused
	}
	if a.MayGate {
		flags |= announceMay
	}
	if a.WillGate {
		flags |= announceWill
	}
	if a.Wanted != nil {
		flags |= announceWanted
	}
	if a.Demand != nil {
		flags |= announceDemand
	}
	var dense []byte
	if a.Dense+a.Skip > 0 {
		flags |= announceDense
		dense = []byte{uint8(a.Dense), uint8(a.Skip)}
	}
	size := announcementFixed + len(a.Name) + len(a.Held) + len(a.Wanted) + len(a.Demand) + len(dense)
	if a.Price > 0 {
		size += 8
	}
	b = slices.Grow(b, HeaderLen+size)
	b = appendHeader(b, KindAnnouncement, 0, size)
	b = append(b, a.Model[:]...)
	b = append(b, flags, uint8(len(a.Name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Layers))
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Experts))
	b = binary.LittleEndian.AppendUint16(b, a.Memory)
	b = binary.LittleEndian.AppendUint16(b, a.Waiting)
	b = binary.LittleEndian.AppendUint16(b, a.Prompts)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Expires.UnixMilli()))
	b = append(b, a.Name...)
	b = append(b, a.Held...)
	b = append(b, a.Wanted...)
	b = append(b, a.Demand...)
	b = append(b, dense...)
	if a.Price > 0 {
		b = binary.LittleEndian.AppendUint64(b, a.Price)
	}
	return b, nil
}

// ParseAnnouncement reads an announcement frame's body. It shares no memory
// with it. An error wraps [ErrFormat].
func ParseAnnouncement(body []byte) (Announcement, error) {
	var a Announcement
	k := cursor{b: body}
	copy(a.Model[:], k.take(len(a.Model)))
	flags, name := k.u8(), int(k.u8())
	a.Layers, a.Experts = int(k.u16()), int(k.u16())
	a.Memory = k.u16()
	a.Waiting, a.Prompts = k.u16(), k.u16()
	expires := k.u64()
	a.Name = string(k.take(name))
	if k.short || expires > maxUnixMilli {
		return Announcement{}, fmt.Errorf("%w: announcement of %d bytes", ErrFormat, len(body))
	}
	a.Gates, a.Leaving, a.Paused = flags&announceGates != 0, flags&announceLeaving != 0, flags&announcePaused != 0
	a.MayGate, a.WillGate = flags&announceMay != 0, flags&announceWill != 0
	a.Expires = time.UnixMilli(int64(expires))
	a.Held = k.take(a.Layers * stride(a.Experts))
	if flags&announceWanted != 0 {
		a.Wanted = k.take(a.Layers * stride(a.Experts))
	}
	if flags&announceDemand != 0 {
		a.Demand = k.take(a.Layers * a.Experts)
	}
	if flags&announceDense != 0 {
		a.Dense, a.Skip = int(k.u8()), int(k.u8())
		k.short = k.short || a.Dense+a.Skip == 0
	}
	if len(k.b) > 0 {
		a.Price = k.u64()
		k.short = k.short || a.Price == 0
	}
	if k.short || len(k.b) > 0 {
		return Announcement{}, fmt.Errorf("%w: announcement of %d bytes", ErrFormat, len(body))
	}
	if err := a.check(); err != nil {
		return Announcement{}, err
	}
	a.Held, a.Wanted, a.Demand = slices.Clone(a.Held), slices.Clone(a.Wanted), slices.Clone(a.Demand)
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
	case a.Dense < 0 || a.Dense > maxDense || a.Skip < 0 || a.Skip > maxDense || a.Dense+a.Skip > 0 && a.Dense+a.Skip >= a.Layers:
		return fmt.Errorf("%w: %d layers, of which %d and then %d at a time have no experts", ErrFormat, a.Layers, a.Dense, a.Skip)
	case len(a.Held) != a.Layers*stride(a.Experts):
		return fmt.Errorf("%w: bitmap of %d bytes for %d layers of %d experts", ErrFormat, len(a.Held), a.Layers, a.Experts)
	case a.Wanted != nil && (a.Layers == 0 || len(a.Wanted) != len(a.Held)):
		return fmt.Errorf("%w: bitmap of %d bytes beside one of %d", ErrFormat, len(a.Wanted), len(a.Held))
	case a.Demand != nil && (a.Layers == 0 || len(a.Demand) != a.Layers*a.Experts):
		return fmt.Errorf("%w: %d demands for %d layers of %d experts", ErrFormat, len(a.Demand), a.Layers, a.Experts)
	case a.Expires.UnixMilli() < 0 || a.Expires.UnixMilli() > maxUnixMilli:
		return fmt.Errorf("%w: expires at %v", ErrFormat, a.Expires)
	}
	for _, bits := range [][]byte{a.Held, a.Wanted} {
		if pastShape(bits, a.Experts) {
			return fmt.Errorf("%w: bitmap names experts past %d", ErrFormat, a.Experts)
		}
	}
	return nil
}

// pastShape reports whether a bitmap names experts that a layer does not have.
func pastShape(bits []byte, experts int) bool {
	used := experts % 8
	for i := stride(experts) - 1; used != 0 && i < len(bits); i += stride(experts) {
		if bits[i]>>used != 0 {
			return true
		}
	}
	return false
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

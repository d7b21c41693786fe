package swarm

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/swarm/wire"
)

// Announcements: from an offer to the wire, and from the wire to a notice for
// the holdings table.

// serves reports whether there is anything to announce.
func (o Offer) serves() bool { return o.Gates || len(o.Held) > 0 }

// speaks reports whether peers should hear of it.
func (o Offer) speaks() bool {
	return o.serves() || o.Memory > 0 || len(o.Wanted) > 0 || o.MayGate || o.WillGate
}

// maxDemand bounds the experts for which demand is announced, a byte each.
const maxDemand = 32 << 10

// checkShape refuses a shape that no announcement can carry.
func checkShape(layers []int) error {
	if len(layers) == 0 || len(layers) > wire.MaxLayers || slices.Max(layers) <= 0 {
		return fmt.Errorf("%d layers; want 1 to %d, some with experts", len(layers), wire.MaxLayers)
	}
	for l, experts := range layers {
		if experts < 0 || experts > wire.MaxExperts {
			return fmt.Errorf("layer %d has %d experts; at most %d are allowed", l, experts, wire.MaxExperts)
		}
	}
	return nil
}

// announcementOf states an offer, which passed checkOffer.
func announcementOf(o Offer, ends time.Time, waiting int) wire.Announcement {
	a := wire.Announcement{
		Model: o.Model, Name: o.Name, Gates: o.Gates, MayGate: o.MayGate, WillGate: o.WillGate,
		Waiting: short(waiting), Expires: ends, Price: o.Price,
		Layers: len(o.Layers), Experts: slices.Max(o.Layers),
	}
	if o.Gates && o.Prompts != nil {
		a.Prompts = short(o.Prompts())
	}
	a.Dense, a.Skip = sparsity(o.Layers)
	a.Held = wire.NewHeld(a.Layers, a.Experts)
	for _, id := range o.Held {
		a.Hold(int(id.Layer), int(id.Index))
	}
	// Half a unit is something.
	a.Memory = uint16(min(math.MaxUint16, (o.Memory+wire.MemoryUnit-1)/wire.MemoryUnit))
	for _, id := range o.Wanted {
		a.Want(int(id.Layer), int(id.Index))
	}
	return a
}

// short is a count that is not negative, in two bytes.
func short(n int) uint16 { return uint16(max(0, min(n, math.MaxUint16))) }

// withDemand adds what this node measured, if it did.
func withDemand(a wire.Announcement, o Offer) wire.Announcement {
	if o.Demand == nil || a.Layers*a.Experts > maxDemand {
		return a
	}
	demand := o.Demand()
	if len(demand) == 0 {
		return a
	}
	a.Demand = make([]byte, a.Layers*a.Experts)
	for id, d := range demand {
		if int(id.Layer) < a.Layers && int(id.Index) < a.Experts {
			a.Demand[int(id.Layer)*a.Experts+int(id.Index)] = wire.DemandCode(d)
		}
	}
	return a
}

// sparsity finds the first layer that has experts, and how many have none
// until the next. Layers without a pattern, which no known model has, are
// stated as far as the first two tell.
func sparsity(layers []int) (dense, skip int) {
	has := func(n int) bool { return n > 0 }
	dense = slices.IndexFunc(layers, has)
	return dense, max(slices.IndexFunc(layers[dense+1:], has), 0)
}

// brief is the announcement without shape and holdings, for those who only
// want to know which models there are.
func brief(a wire.Announcement) wire.Announcement {
	a.Layers, a.Experts, a.Dense, a.Skip, a.Held, a.Wanted, a.Demand = 0, 0, 0, 0, nil, nil, nil
	return a
}

// farewell takes an announcement back.
func farewell(a wire.Announcement) wire.Announcement {
	a = brief(a)
	a.Gates, a.Leaving, a.Paused, a.Waiting, a.Prompts, a.Memory, a.Price = false, true, false, 0, 0, 0, 0
	a.MayGate, a.WillGate = false, false
	return a
}

// encode makes an announcement one frame.
func encode(a wire.Announcement) ([]byte, error) { return wire.AppendAnnouncement(nil, a) }

// decode reads a message that is one announcement frame.
func decode(frame []byte) (wire.Announcement, error) {
	h, body, err := wire.ParseFrame(frame)
	if err != nil {
		return wire.Announcement{}, err
	}
	if h.Kind != wire.KindAnnouncement {
		return wire.Announcement{}, fmt.Errorf("%w: %v where an announcement was due", wire.ErrFormat, h.Kind)
	}
	return wire.ParseAnnouncement(body)
}

// noticeOf turns an announcement into what the table takes in. The author's
// clock gives the order of its announcements and nothing more.
func noticeOf(a wire.Announcement) notice {
	n := notice{
		model: a.Model, name: a.Name, gates: a.Gates, leaving: a.Leaving,
		shape: shape{a.Layers, a.Experts, a.Dense, a.Skip}, waiting: int(a.Waiting), prompts: int(a.Prompts),
		seq: a.Expires.UnixMilli(), paused: a.Paused, memory: int64(a.Memory) * wire.MemoryUnit, demand: a.Demand,
		mayGate: a.MayGate, willGate: a.WillGate, price: a.Price,
	}
	if a.Layers == 0 {
		return n
	}
	n.held, n.wanted = slotsOf(a.Held, a.Layers), slotsOf(a.Wanted, a.Layers)
	return n
}

// slotsOf reads a bitmap of so many layers.
func slotsOf(bitmap []byte, layers int) (out []slot) {
	stride := len(bitmap) / layers
	for l := range layers {
		for i, b := range bitmap[l*stride : (l+1)*stride] {
			for ; b != 0; b &= b - 1 {
				out = append(out, slot(l)<<16|slot(8*i+bits.TrailingZeros8(b)))
			}
		}
	}
	return out
}

// errStale: an announcement whose time does not fit our clock, most likely
// one that somebody kept and sends again.
var errStale = errors.New("announcement is not of this time")

// checkFresh refuses replays of gossip. (Hello streams come from their author
// and cannot be replayed.)
func checkFresh(a wire.Announcement, now time.Time) error {
	if d := a.Expires.Sub(now); d < -maxSkew || d > maxSkew+announceTTL {
		return fmt.Errorf("%w: it ends %v from now", errStale, d.Round(time.Second))
	}
	return nil
}

// sequencer gives announcements their end, which is also their order: it
// grows with every announcement, whatever the clock does.
type sequencer struct{ last int64 }

func (s *sequencer) next(now time.Time) time.Time {
	s.last = max(s.last+1, now.Add(announceTTL).UnixMilli())
	return time.UnixMilli(s.last)
}

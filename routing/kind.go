package routing

import (
	"math"
	"time"
)

// Kind says what the computing of a call depends on besides its rows: the
// format of the weights and how many of them are read. A peer may be quick at
// one format and slow at another, and models differ in size, so each peer's
// speed is measured by kind. The zero value is an unknown kind.
type Kind struct {
	Format uint16 // of W1 and W3, times 256, and of W2, in GGUF's numbers
	KiB    uint32 // of weights that the call reads
}

// maxKinds is how many kinds are measured of a peer at once: a model has one
// or two. The kind that was not seen for longest makes room.
const maxKinds = 4

// kindWork is what is known of a peer's speed at one kind.
type kindWork struct {
	kind            Kind
	known           bool
	line            line // seconds of compute per call, over rows per call
	perCall, perRow float64
	seen            time.Time
}

// works is a peer's speed by kind. The latest seen has the index last.
type works struct {
	kinds [maxKinds]kindWork
	last  int8
}

// prior is the compute expected of a peer whose speed nobody knows: its
// weights are read once, then each row costs about a tenth of that.
func (k Kind) prior() (perCall, perRow float64) {
	if k.KiB == 0 {
		return priorCall.Seconds(), priorRow.Seconds()
	}
	perCall = float64(k.KiB) * 1024 / priorReading
	return perCall, perCall / 10
}

// of gives the compute of a call, and of a row more. A kind that was not
// measured at this peer is judged by the one seen last: where reading weights
// is what takes the time, their size is what counts.
func (w *works) of(k Kind) (perCall, perRow float64) {
	for i := range w.kinds {
		if w.kinds[i].known && w.kinds[i].kind == k {
			return w.kinds[i].perCall, w.kinds[i].perRow
		}
	}
	like := &w.kinds[w.last]
	if !like.known {
		return k.prior()
	}
	scale := 1.
	if k.KiB > 0 && like.kind.KiB > 0 {
		scale = float64(k.KiB) / float64(like.kind.KiB)
	}
	return scale * like.perCall, scale * like.perRow
}

// observe takes in what a peer says that so many calls took.
func (w *works) observe(s Size, compute time.Duration, now time.Time) {
	const spreadRows = 4 // one or two rows per call cost the same: only larger differences tell
	at := w.place(s.Kind)
	k := &w.kinds[at]
	alpha := 1.
	if k.known && k.kind == s.Kind {
		idle := max(now.Sub(k.seen), 0)
		alpha = max(smoothing, 1-math.Exp(-idle.Seconds()/forgetting.Seconds()))
	} else {
		base, slope := w.of(s.Kind)
		*k = kindWork{kind: s.Kind, known: true, line: line{baseline: base, slope0: slope, spread: spreadRows}}
	}
	calls := float64(max(s.Calls, 1))
	k.line.observe(float64(s.Rows)/calls, compute.Seconds()/calls, alpha)
	k.perCall, k.perRow = k.line.parts()
	k.seen = now
	w.last = int8(at)
}

// place is where a kind is kept, or will be.
func (w *works) place(k Kind) int {
	at := 0
	for i := range w.kinds {
		x := &w.kinds[i]
		if x.known && x.kind == k {
			return i
		}
		if !x.known && w.kinds[at].known || x.known && w.kinds[at].known && x.seen.Before(w.kinds[at].seen) {
			at = i
		}
	}
	return at
}

// KindSpeed is how quick a peer was found to be at one kind.
type KindSpeed struct {
	Kind            Kind
	PerCall, PerRow time.Duration
}

// Speeds lists what was measured of the peer's compute.
func (e *Estimate) Speeds() []KindSpeed {
	var all []KindSpeed
	for _, k := range e.work.kinds {
		if k.known {
			all = append(all, KindSpeed{k.kind, seconds(k.perCall), seconds(k.perRow)})
		}
	}
	return all
}

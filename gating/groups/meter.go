package groups

import "time"

// Meter measures how long rounds take, in which all sequences advance by a token.
type Meter struct {
	groups, streams int
	unsettled       int // sequences of steps from before things changed
	began           time.Time
	spoiled         bool // by prompts that were read meanwhile
	sequences, rows int
	steps           int
}

// Round is what was measured.
type Round struct {
	Groups int
	Rows   float64       // of a step, on average
	Took   time.Duration // for all sequences to advance by a token
}

// Landing is a step with sequences that decode, at its end.
type Landing struct {
	At              time.Time
	Groups, Streams int // as they are now: groups, and sequences that decode in them
	Sequences, Rows int // in the step
	Reading         bool
}

// shortest is how long a measurement takes at least, or enough rounds: single
// rounds of a fast network say little.
const (
	shortest = 250 * time.Millisecond
	enough   = 8
)

// Landed takes in a step. over is true when a round was seen; ok when nothing
// disturbed it.
func (m *Meter) Landed(l Landing) (r Round, over, ok bool) {
	if changed := l.Streams - m.streams; l.Groups != m.groups || max(changed, -changed) > m.streams/8 {
		*m = Meter{groups: l.Groups, streams: l.Streams, unsettled: l.Streams}
	}
	if l.Streams < 1 {
		return Round{}, false, false
	}
	m.spoiled = m.spoiled || l.Reading
	if m.unsettled > 0 {
		if m.unsettled -= l.Sequences; m.unsettled <= 0 {
			m.began, m.spoiled = l.At, l.Reading
		}
		return Round{}, false, false
	}
	m.sequences, m.rows, m.steps = m.sequences+l.Sequences, m.rows+l.Rows, m.steps+1
	took := l.At.Sub(m.began)
	// Where groups land one soon after the other, only whole rounds say how long one takes.
	if whole := m.sequences/m.streams > (m.sequences-l.Sequences)/m.streams; !whole || took < shortest && m.sequences < enough*m.streams {
		return Round{}, false, false
	}
	r = Round{
		Groups: m.groups, Rows: float64(m.rows) / float64(m.steps),
		Took: time.Duration(float64(took) * float64(m.streams) / float64(m.sequences)),
	}
	ok = !m.spoiled
	*m = Meter{groups: m.groups, streams: m.streams, began: l.At, spoiled: l.Reading}
	return r, true, ok
}

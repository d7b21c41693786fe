package owner

import (
	"fmt"
	"time"
)

// State is how much a node may do.
type State uint8

// States.
const (
	Active     State = iota
	Eased            // half of its processors
	Paused           // nothing for others
	Recovering       // as Eased, after a pause
)

func (s State) String() string {
	return [...]string{"active", "eased", "paused", "recovering"}[s]
}

// Share is the part of the node's processors that it may use.
func (s State) Share() float64 { return [...]float64{1, 0.5, 0, 0.5}[s] }

// Serves reports whether the node takes work from others.
func (s State) Serves() bool { return s != Paused }

// Sample is what the machine does besides this node. Quantities that the
// system does not tell are negative.
type Sample struct {
	// Busy is the part of all processors, 0 to 1, that other programs use.
	Busy float64
	// Free is the part of the memory, 0 to 1, that can be had without taking
	// any from other programs.
	Free float64
	// Pressure is the part of the time, 0 to 1, that some program waited for
	// memory (Linux: PSI).
	Pressure float64
	// Battery is its charge, 0 to 1, while the machine runs on it; negative
	// also when it is plugged in.
	Battery float64
	// Idle is how long ago the owner last touched the machine; negative when
	// not known.
	Idle time.Duration
}

// Unknown is a sample of a machine that tells nothing.
func Unknown() Sample { return Sample{-1, -1, -1, -1, -1} }

// Limits are the thresholds of a [Machine]; each has one to go and one to come
// back. Zero fields mean their defaults.
type Limits struct {
	// EaseBusy and CalmBusy: other programs' share of the processors from which
	// the node eases, and below which it is as before. Defaults 0.5 and 0.3.
	EaseBusy, CalmBusy float64
	// PauseBusy: from here on it pauses. Default 0.85; back below EaseBusy.
	PauseBusy float64
	// EaseFree and CalmFree: the same for free memory. Defaults 0.10 and 0.15.
	EaseFree, CalmFree float64
	// PauseFree: below it the node pauses. Default 0.04; back above EaseFree.
	PauseFree float64
	// EasePressure: programs wait for memory. Default 0.10; calm below half.
	EasePressure float64
	// PausePressure. Default 0.40; back below EasePressure.
	PausePressure float64
	// PauseBattery: on battery the node eases, and below this charge it pauses.
	// Default 0.5; back 0.05 above it.
	PauseBattery float64
	// IdleOnly: the node works only when the owner has not touched the machine
	// for this long; 0: it works beside the owner too.
	IdleOnly time.Duration
	// Worse is how long a worse condition must last before the node yields,
	// Better how long a better one before it comes back. Defaults 3 s and 30 s;
	// memory below PauseFree yields at once.
	Worse, Better time.Duration
	// Recover is how long the node is Recovering after a pause. Default 15 s.
	Recover time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	set(&l.EaseBusy, 0.5)
	set(&l.CalmBusy, 0.3)
	set(&l.PauseBusy, 0.85)
	set(&l.EaseFree, 0.10)
	set(&l.CalmFree, 0.15)
	set(&l.PauseFree, 0.04)
	set(&l.EasePressure, 0.10)
	set(&l.PausePressure, 0.40)
	set(&l.PauseBattery, 0.5)
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&l.Worse, 3 * time.Second}, {&l.Better, 30 * time.Second}, {&l.Recover, 15 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	return l
}

// Machine is the state of a node and what led to it. It is not safe for
// concurrent use.
type Machine struct {
	limits   Limits
	schedule Schedule
	hold     Hold

	state  State
	reason string
	since  time.Time // of the state

	// A state that conditions ask for, and since when they do.
	asked      State
	askedSince time.Time
}

// NewMachine returns one that is active.
func NewMachine(l Limits, s Schedule) *Machine {
	return &Machine{limits: l.withDefaults(), schedule: s}
}

// SetHold takes the owner's word. It counts from the next Step on.
func (m *Machine) SetHold(h Hold) { m.hold = h }

// State is the state after the last Step, and why it is so; no reason when
// active.
func (m *Machine) State() (State, string) { return m.state, m.reason }

// Since is when the state began.
func (m *Machine) Since() time.Time { return m.since }

// Step takes in a sample and returns the state and the reason.
func (m *Machine) Step(s Sample, now time.Time) (State, string) {
	if m.since.IsZero() {
		m.since = now
	}
	// The owner's word and the schedule hold at once, both ways.
	if reason, told := m.told(now); told {
		m.enter(Paused, reason, now)
		m.asked, m.askedSince = Paused, now
		return m.state, m.reason
	}
	want, reason, urgent := m.judge(s)
	if want != m.asked {
		m.asked, m.askedSince = want, now
	}
	lasted := now.Sub(m.askedSince)
	from := m.state
	if from == Recovering {
		from = Eased
	}
	switch {
	case want == from && m.state != Recovering:
		m.reason = reason
	case want > from && (urgent || lasted >= m.limits.Worse):
		m.enter(want, reason, now)
	case want < from && m.state == Paused && lasted >= m.better():
		m.enter(Recovering, "was paused until just now", now)
	case want < from && m.state == Eased && lasted >= m.better():
		m.enter(Active, "", now)
	case m.state == Recovering && now.Sub(m.since) >= m.limits.Recover && lasted >= m.limits.Recover:
		m.enter(want, reason, now)
	}
	return m.state, m.reason
}

// better is how long good conditions must last. A pause that the owner or the
// schedule asked for ends when they say so.
func (m *Machine) better() time.Duration {
	if m.state == Paused && (m.reason == heldReason || m.reason == offHours) {
		return 0
	}
	return m.limits.Better
}

func (m *Machine) enter(s State, reason string, now time.Time) {
	if m.state != s {
		m.state, m.since = s, now
	}
	m.reason = reason
}

// Reasons that others than conditions give.
const (
	heldReason = "the owner paused it"
	offHours   = "outside its schedule"
)

func (m *Machine) told(now time.Time) (string, bool) {
	switch {
	case m.hold.At(now):
		return heldReason, true
	case !m.schedule.At(now):
		return offHours, true
	}
	return "", false
}

// Scarce reports whether other programs lack memory, so that what the node
// does not need just now should be given back.
func Scarce(s Sample, l Limits) bool {
	l = l.withDefaults()
	return s.Free >= 0 && s.Free < l.EaseFree || s.Pressure >= l.EasePressure
}

// judge says what state a sample asks for. Thresholds depend on the present
// state: what was left is come back to only on the far side of a gap.
func (m *Machine) judge(s Sample) (want State, reason string, urgent bool) {
	l := &m.limits
	ask := func(st State, format string, args ...any) {
		if st > want {
			want, reason = st, fmt.Sprintf(format, args...)
		}
	}
	paused, eased := m.state == Paused, m.state != Active
	pick := func(cond bool, there, back float64) float64 {
		if cond {
			return back
		}
		return there
	}
	if s.Free >= 0 {
		if s.Free < l.PauseFree {
			urgent = true
		}
		if s.Free < pick(paused, l.PauseFree, l.EaseFree) {
			ask(Paused, "only %.0f %% of the memory is free", 100*s.Free)
		} else if s.Free < pick(eased, l.EaseFree, l.CalmFree) {
			ask(Eased, "only %.0f %% of the memory is free", 100*s.Free)
		}
	}
	if s.Pressure >= pick(paused, l.PausePressure, l.EasePressure) {
		ask(Paused, "programs wait for memory %.0f %% of the time", 100*s.Pressure)
	} else if s.Pressure >= pick(eased, l.EasePressure, l.EasePressure/2) {
		ask(Eased, "programs wait for memory %.0f %% of the time", 100*s.Pressure)
	}
	if s.Busy >= pick(paused, l.PauseBusy, l.EaseBusy) {
		ask(Paused, "other programs use %.0f %% of the processors", 100*s.Busy)
	} else if s.Busy >= pick(eased, l.EaseBusy, l.CalmBusy) {
		ask(Eased, "other programs use %.0f %% of the processors", 100*s.Busy)
	}
	if s.Battery >= 0 {
		if s.Battery < pick(paused, l.PauseBattery, l.PauseBattery+0.05) {
			ask(Paused, "on battery, %.0f %% left", 100*s.Battery)
		} else {
			ask(Eased, "on battery")
		}
	}
	if l.IdleOnly > 0 && s.Idle >= 0 && s.Idle < l.IdleOnly {
		ask(Paused, "the owner is at the machine")
		urgent = true // a keystroke should not wait
	}
	return want, reason, urgent
}

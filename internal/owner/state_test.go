package owner

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday

// calm is a machine that nobody else uses.
func calm() Sample { return Sample{Busy: 0, Free: 0.8, Pressure: 0, Battery: -1, Idle: time.Hour} }

// stepper feeds a machine a sample a second.
type stepper struct {
	t   *testing.T
	m   *Machine
	now time.Time
}

// for_ feeds the sample for a while and checks the state at the end.
func (s *stepper) hold(d time.Duration, x Sample, want State, reason string) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Second) {
		s.m.Step(x, s.now)
	}
	if got, why := s.m.State(); got != want || !strings.Contains(why, reason) {
		s.t.Errorf("after %v of %+v: %v because %q, want %v because %q", d, x, got, why, want, reason)
	}
}

func TestStates(t *testing.T) {
	s := &stepper{t, NewMachine(Limits{}, Schedule{}), start}
	busy, full, low := calm(), calm(), calm()
	busy.Busy = 0.6
	full.Busy = 0.95
	low.Free = 0.02
	s.hold(10*time.Second, calm(), Active, "")
	s.hold(2*time.Second, busy, Active, "") // a moment is no reason
	s.hold(10*time.Second, calm(), Active, "")
	s.hold(6*time.Second, busy, Eased, "60 %")
	busy.Busy = 0.4 // between the thresholds: stays
	s.hold(2*time.Minute, busy, Eased, "40 %")
	s.hold(20*time.Second, calm(), Eased, "")
	s.hold(20*time.Second, calm(), Active, "")
	s.hold(6*time.Second, full, Paused, "95 %")
	full.Busy = 0.6
	s.hold(2*time.Minute, full, Paused, "60 %")
	s.hold(32*time.Second, calm(), Recovering, "")
	s.hold(20*time.Second, calm(), Active, "")
	s.hold(time.Second, low, Paused, "memory") // no waiting where memory is short
	s.hold(32*time.Second, calm(), Recovering, "")
	s.hold(time.Second, low, Paused, "memory") // also while recovering
}

func TestBatteryAndIdle(t *testing.T) {
	s := &stepper{t, NewMachine(Limits{IdleOnly: 5 * time.Minute}, Schedule{}), start}
	battery := calm()
	battery.Battery = 0.9
	s.hold(10*time.Second, battery, Eased, "battery")
	battery.Battery = 0.45
	s.hold(10*time.Second, battery, Paused, "45 %")
	battery.Battery = 0.52
	s.hold(time.Minute, battery, Paused, "52 %")
	s.hold(time.Minute, calm(), Active, "")
	typed := calm()
	typed.Idle = 3 * time.Second
	s.hold(time.Second, typed, Paused, "owner")
	unknown := calm()
	unknown.Idle = -1
	s.hold(time.Minute, unknown, Active, "")
}

func TestOwnersWord(t *testing.T) {
	plan, err := ParseSchedule("mon 09:00-12:01")
	if err != nil {
		t.Fatal(err)
	}
	s := &stepper{t, NewMachine(Limits{}, plan), start}
	s.hold(2*time.Second, calm(), Active, "")
	s.m.SetHold(Hold{Paused: true, Until: s.now.Add(10 * time.Second)})
	s.hold(time.Second, calm(), Paused, "owner")
	s.hold(11*time.Second, calm(), Recovering, "")
	s.m.SetHold(Hold{Paused: true})
	s.hold(5*time.Second, calm(), Paused, "owner")
	s.m.SetHold(Hold{})
	s.hold(2*time.Second, calm(), Recovering, "")
	s.hold(20*time.Second, calm(), Active, "")
	s.hold(30*time.Second, calm(), Paused, "schedule")
}

// TestNeverFlutters: whatever the machine does, states come back no quicker
// than the waits allow, and extremes are always answered.
func TestNeverFlutters(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		m := NewMachine(Limits{}, Schedule{})
		now := start
		var eased time.Time
		state := Active
		for range 600 {
			x := Sample{Busy: r.Float64(), Free: 0.05 + r.Float64()*0.9, Pressure: r.Float64() * 0.3, Battery: -1, Idle: -1}
			if r.IntN(3) == 0 {
				x = calm()
			}
			got, why := m.Step(x, now)
			if got == Active && why != "" || got != Active && why == "" {
				t.Fatalf("seed %d: %v because %q", seed, got, why)
			}
			if state == Active && got != Active {
				eased = now
			}
			if state != Active && got == Active && now.Sub(eased) < m.limits.Recover {
				t.Fatalf("seed %d: active again after %v", seed, now.Sub(eased))
			}
			if got == Active && state == Paused {
				t.Fatalf("seed %d: from paused to active at once", seed)
			}
			state = got
			now = now.Add(time.Second)
		}
		if got, _ := m.Step(Sample{Free: 0.01, Busy: -1, Pressure: -1, Battery: -1, Idle: -1}, now); got != Paused {
			t.Fatalf("seed %d: %v with no memory free", seed, got)
		}
	}
}

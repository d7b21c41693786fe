package routing

import (
	"testing"
	"time"
)

// A peer's speed is learned by kind: quick at one format, slow at another, and
// neither moves the other. A kind not seen yet is judged by the weights' size.
func TestSpeedsByKind(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	small, large := Kind{Format: 12<<8 | 14, KiB: 2048}, Kind{Format: 8<<8 | 8, KiB: 8192}
	at := epoch
	for i := range 40 {
		at = at.Add(10 * ms)
		k, work := small, 200*time.Microsecond
		if i%2 == 1 {
			k, work = large, 3*ms
		}
		e.Observe(Sample{Size: Size{Bytes: 32768, Calls: 3, Rows: 3, Kind: k}, Took: 10*ms + 3*work, Compute: 3 * work}, at)
	}
	expected := func(k Kind) time.Duration {
		return e.Expected(Size{Bytes: 32768, Calls: 3, Rows: 3, Kind: k}, at)
	}
	for k, want := range map[Kind]time.Duration{small: 10*ms + 600*time.Microsecond, large: 19 * ms} {
		if got := expected(k); !near(got, want, 50*time.Microsecond) {
			t.Errorf("kind %+v: expected %v, want %v", k, got, want)
		}
	}
	if got, want := expected(Kind{Format: 2, KiB: 2 * 8192}), 28*ms; !near(got, want, 200*time.Microsecond) {
		t.Errorf("a kind of twice the size: expected %v, want %v", got, want)
	}
	if got := len(e.Speeds()); got != 2 {
		t.Errorf("%d speeds, want 2", got)
	}
}

// Kinds are bounded; the one not seen for longest makes room.
func TestKindsAreBounded(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	for i := range 3 * maxKinds {
		s := Size{Bytes: 4096, Calls: 1, Rows: 1, Kind: Kind{Format: uint16(i), KiB: 1024}}
		e.Observe(Sample{Size: s, Took: 6 * ms, Compute: ms}, epoch.Add(time.Duration(i)*time.Second))
	}
	all := e.Speeds()
	if len(all) != maxKinds {
		t.Fatalf("%d kinds are remembered, want %d", len(all), maxKinds)
	}
	for _, s := range all {
		if s.Kind.Format < 2*maxKinds {
			t.Errorf("kind %d is still there, a newer one is not", s.Kind.Format)
		}
	}
}

// What nobody measured is judged by the weights to be read.
func TestPriorByKind(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	s := Size{Bytes: 8192, Calls: 1, Rows: 1}
	unknown := e.Expected(s, epoch)
	s.Kind = Kind{KiB: 20 << 10}
	if got := e.Expected(s, epoch); got < unknown+ms {
		t.Errorf("20 MB of weights are expected in %v, some unknown ones in %v", got, unknown)
	}
}

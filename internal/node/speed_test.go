package node

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/ggml"
)

// TestSpeed: the best of what was seen counts, less as it grows old, and only
// where there was enough to do.
func TestSpeed(t *testing.T) {
	s := newSpeedMeter(expert.Sets{}, nil, 0)
	now := time.Unix(1000, 0)
	near := func(want float64) {
		t.Helper()
		if got := s.now(); math.Abs(got-want) > 0.001 {
			t.Errorf("speed %v, want %v", got, want)
		}
	}
	near(0)
	s.took(speedLeast-1, time.Millisecond, now)
	near(0)
	s.took(5e6, time.Millisecond, now) // 5 GB/s
	near(0.5)
	s.took(5e6, 5*time.Millisecond, now) // others used the machine
	near(0.5)
	s.took(5e6, 5*time.Millisecond, now.Add(speedHalfLife))
	near(0.25)
	s.took(20e6, time.Millisecond, now.Add(speedHalfLife))
	near(2)
	s.share = 0.3 // --max-cpu 30
	near(0.6)
}

// TestSpeedOfCalls: what peers ask for is timed, and with many rows it is not.
func TestSpeedOfCalls(t *testing.T) {
	m := tiny(t)
	s := newSpeedMeter(expert.Sets{}, []Model{{Name: "tiny", Model: m}}, 0)
	ids := m.Manifest().IDs()
	calls := []expert.Call{{Expert: ids[0], Rows: []int32{0}}, {Expert: ids[1], Rows: []int32{0, 1}}}
	want := m.Manifest().Experts[0].Size + m.Manifest().Experts[1].Size
	if got := s.weights(calls); got != want {
		t.Errorf("%d bytes of weights, want %d", got, want)
	}
	calls[1].Rows = []int32{0, 1, 2}
	if got := s.weights(calls); got != 0 {
		t.Errorf("%d bytes with three rows", got)
	}
}

// TestSpeedOfServing: a holder asks by expert.ApplyIn, and that is timed, too.
func TestSpeedOfServing(t *testing.T) {
	m := tiny(t)
	set, err := expert.NewSet(m, m.Manifest().IDs(), ggml.NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	s := newSpeedMeter(expert.Sets{m.ID(): set}, []Model{{Name: "tiny", Model: m}}, 0)
	large := *m.Manifest() // as if its experts were large enough to be timed
	large.Experts = slices.Clone(large.Experts)
	for i := range large.Experts {
		large.Experts[i].Size = speedLeast
	}
	s.sizes[m.ID()] = &large
	in := experttest.Batch(1, 1, m.Manifest().Shape.Dim)
	for _, r := range expert.ApplyIn(context.Background(), s, in, []expert.Call{{Expert: m.Manifest().IDs()[0], Rows: []int32{0}}}, new(expert.Room)) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if s.now() == 0 {
		t.Error("serving was not timed")
	}
}

package swarm

import (
	"testing"
	"time"
)

func TestMeters(t *testing.T) {
	m := newMeters[string](pace{perSecond: 2, burst: 3})
	now := time.Unix(0, 0)
	for i := range 3 {
		if !m.allow("a", now) {
			t.Fatalf("call %d of the burst refused", i)
		}
	}
	if m.allow("a", now) {
		t.Error("a fourth call at once is allowed")
	}
	if !m.allow("b", now) {
		t.Error("one stranger's calls count against another")
	}
	now = now.Add(500 * time.Millisecond)
	if !m.allow("a", now) || m.allow("a", now) {
		t.Error("half a second should give one token at two a second")
	}
	if m.allow("a", now.Add(-time.Hour)) {
		t.Error("a clock that goes back gives tokens")
	}
}

func TestMetersBounded(t *testing.T) {
	m := newMeters[int](pace{perSecond: 1, burst: 2})
	m.most = 10
	now := time.Unix(0, 0)
	for i := range 1000 {
		m.allow(i, now)
	}
	if len(m.level) != 10 {
		t.Errorf("%d meters kept, limit 10", len(m.level))
	}
	if !m.allow(5000, now.Add(time.Second)) {
		t.Error("quiet meters are not forgotten")
	}
}

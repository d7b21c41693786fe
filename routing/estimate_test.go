package routing

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testPolicy(t testing.TB) Policy {
	p, err := Policy{Seed: 1}.validate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func near(got, want, within time.Duration) bool { return got >= want-within && got <= want+within }

func TestPriorOfUnknownPeer(t *testing.T) {
	p := testPolicy(t)
	e := NewEstimate("a", p)
	if _, ok := e.Measured(); ok || e.Suspect() || e.Resting(epoch) > 0 {
		t.Error("an unknown peer should be unmeasured and trusted")
	}
	// 12.5 kB take a millisecond, two calls of three rows 0.6 + 0.18 ms.
	if got, want := e.Expected(Size{Bytes: 12500, Calls: 2, Rows: 6}, epoch), p.PriorRTT+1780*time.Microsecond; !near(got, want, time.Microsecond) {
		t.Errorf("expected %v, want %v", got, want)
	}
}

// At the size it sees, an estimate is what is measured, whatever the prior.
func TestEstimateHoldsAtThatPayload(t *testing.T) {
	for _, bytes := range []int{100, 4 << 10, 1 << 20} {
		e := NewEstimate("a", testPolicy(t))
		for i := range 10 {
			e.Observe(Sample{Size: Size{Bytes: bytes, Calls: 2, Rows: 2}, Took: 9 * time.Millisecond, Compute: 2 * time.Millisecond}, epoch.Add(time.Duration(i)*time.Second))
		}
		if got := e.Expected(Size{Bytes: bytes, Calls: 2, Rows: 2}, epoch.Add(time.Minute)); !near(got, 9*time.Millisecond, time.Microsecond) {
			t.Errorf("%d bytes: expected %v, want the 9 ms that were measured", bytes, got)
		}
		if got := e.RTT(bytes); !near(got, 7*time.Millisecond, time.Microsecond) {
			t.Errorf("%d bytes: round trip %v, want 7 ms", bytes, got)
		}
	}
}

// Base, bandwidth and compute are told apart when sizes vary.
func TestEstimateLearnsItsParts(t *testing.T) {
	const seed = 5
	source := rand.New(rand.NewPCG(seed, 0))
	e := NewEstimate("a", testPolicy(t))
	now := epoch
	truth := func(s Size) (net, work time.Duration) {
		return 20*time.Millisecond + time.Duration(s.Bytes)*time.Microsecond/2, // 2 MB/s
			time.Duration(s.Calls)*time.Millisecond + time.Duration(s.Rows)*100*time.Microsecond
	}
	size := func() Size {
		calls := 1 + source.IntN(8)
		rows := calls * (1 + source.IntN(64))
		return Size{Bytes: rows * 1024, Calls: calls, Rows: rows}
	}
	for range 200 {
		s := size()
		net, work := truth(s)
		queued := time.Duration(source.IntN(1000)) * time.Microsecond
		now = now.Add(200 * time.Millisecond)
		e.Observe(Sample{Size: s, Took: net + work + queued, Compute: work, Queued: queued}, now)
	}
	now = now.Add(time.Second)
	for range 20 {
		s := size()
		net, work := truth(s)
		got, want := e.Expected(s, now).Seconds(), (net + work).Seconds()
		if math.Abs(got-want) > 0.1*want {
			t.Errorf("seed %d, %+v: expected %.4f s, truth %.4f s", seed, s, got, want)
		}
	}
}

func TestEstimateFollowsChange(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	now := epoch
	s := Sample{Size: Size{Bytes: 4096, Calls: 1, Rows: 1}, Took: 5 * time.Millisecond}
	for range 20 {
		now = now.Add(50 * time.Millisecond)
		e.Observe(s, now)
	}
	s.Took = 50 * time.Millisecond
	for range 5 {
		now = now.Add(50 * time.Millisecond)
		e.Observe(s, now)
	}
	if got := e.Expected(s.Size, now); got < 35*time.Millisecond {
		t.Errorf("expected %v after five attempts of 50 ms", got)
	}
	// After a silence one sample is enough.
	s.Took = 5 * time.Millisecond
	now = now.Add(time.Minute)
	e.Probed(4096, s.Took, Load{}, now)
	if got := e.Expected(s.Size, now); !near(got, 5*time.Millisecond, time.Millisecond) {
		t.Errorf("expected %v after a silence and a probe of 5 ms", got)
	}
}

func TestQueueDecays(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	s := Size{Bytes: 4096, Calls: 1, Rows: 1}
	e.Observe(Sample{Size: s, Took: 110 * time.Millisecond, Compute: 10 * time.Millisecond, Queued: 80 * time.Millisecond}, epoch)
	at := func(age time.Duration) time.Duration { return e.Expected(s, epoch.Add(age)) - 30*time.Millisecond }
	if got := at(0); !near(got, 40*time.Millisecond, time.Microsecond) {
		t.Errorf("queue of %v, want half the first sighting, 40 ms", got)
	}
	if got := at(queueHalfLife); !near(got, 20*time.Millisecond, time.Microsecond) {
		t.Errorf("queue of %v after its half-life, want 20 ms", got)
	}
	if got := at(time.Minute); got > time.Microsecond {
		t.Errorf("queue of %v after a minute", got)
	}
	// Frames that wait now count as much as the wait this one had.
	e = NewEstimate("a", testPolicy(t))
	e.Observe(Sample{Size: s, Took: 30 * time.Millisecond, Compute: 10 * time.Millisecond, Waiting: 6}, epoch)
	if got := at(0); !near(got, 30*time.Millisecond, time.Microsecond) {
		t.Errorf("queue of %v, want half of 6 × 10 ms", got)
	}
}

// What a peer says about itself divides up what is measured; it cannot make
// an expectation absurd.
func TestEstimateOfBoastfulPeer(t *testing.T) {
	for name, s := range map[string]Sample{
		"negative": {Took: 50 * time.Millisecond, Queued: math.MinInt64, Compute: math.MinInt64, Waiting: math.MinInt},
		"huge":     {Took: 50 * time.Millisecond, Queued: math.MaxInt64, Compute: math.MaxInt64, Waiting: math.MaxInt},
		"compute":  {Took: 50 * time.Millisecond, Compute: math.MaxInt64},
		"waiting":  {Took: 50 * time.Millisecond, Compute: 50 * time.Millisecond, Waiting: math.MaxInt},
		"instant":  {Took: 0, Compute: time.Hour},
	} {
		e := NewEstimate("a", testPolicy(t))
		s.Size = Size{Bytes: 4096, Calls: 2, Rows: 4}
		for i := range 10 {
			e.Observe(s, epoch.Add(time.Duration(i)*time.Second))
			e.Probed(4096, 50*time.Millisecond, Load{Waiting: s.Waiting, Queued: s.Queued}, epoch.Add(time.Duration(i)*time.Second))
		}
		got := e.Expected(s.Size, epoch.Add(time.Minute))
		if got < 0 || got > 110*time.Millisecond {
			t.Errorf("%s: expected %v", name, got)
		}
		if got := e.Expected(s.Size, epoch.Add(9*time.Second)); got < 0 || got > 2*time.Minute {
			t.Errorf("%s: expected %v at once", name, got)
		}
	}
}

func TestOwnAttemptsCount(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	s := Size{Bytes: 4096, Calls: 1, Rows: 10}
	e.Observe(Sample{Size: s, Took: 30 * time.Millisecond, Compute: 10 * time.Millisecond}, epoch)
	before := e.Expected(s, epoch)
	e.flying = Size{Calls: 2, Rows: 20}
	if got := e.Expected(s, epoch) - before; !near(got, 20*time.Millisecond, time.Microsecond) {
		t.Errorf("two like it under way add %v, want 20 ms", got)
	}
}

func TestBackoff(t *testing.T) {
	p := testPolicy(t)
	e := NewEstimate("a", p)
	now := epoch
	want := []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000}
	for i, ms := range want {
		now = now.Add(time.Minute)
		if got := e.Fail(now, now.Add(time.Second), p); got != ms*time.Millisecond {
			t.Errorf("failure %d: left alone for %v, want %d ms", i+1, got, ms)
		}
		if got := e.Resting(now.Add(time.Second)); got != ms*time.Millisecond {
			t.Errorf("failure %d: resting %v", i+1, got)
		}
	}
	// A burst of attempts that end with the same lost connection is one failure.
	e = NewEstimate("a", p)
	for range 10 {
		if got := e.Fail(epoch, epoch.Add(time.Second), p); got != p.BackoffMin {
			t.Errorf("left alone for %v after one burst, want %v", got, p.BackoffMin)
		}
	}
	if !e.Suspect() {
		t.Error("not suspect")
	}
	e.Observe(Sample{Took: time.Millisecond}, now)
	if e.Suspect() {
		t.Error("suspect after a success")
	}
}

func TestRefusalCarriesNoBlame(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	if got := e.Refuse(0, epoch); got != overloadMin || e.Suspect() {
		t.Errorf("left alone for %v, suspect %v", got, e.Suspect())
	}
	if got := e.Refuse(0, epoch); got != 2*overloadMin {
		t.Errorf("second refusal: left alone for %v", got)
	}
	if got := e.Refuse(300*time.Millisecond, epoch); got != 300*time.Millisecond {
		t.Errorf("left alone for %v, want the 300 ms it asks for", got)
	}
	if got := e.Refuse(math.MaxInt64, epoch); got != overloadMax {
		t.Errorf("left alone for %v, want at most %v", got, overloadMax)
	}
	if got := e.Expected(Size{}, epoch); got > 2*time.Second {
		t.Errorf("expected %v", got)
	}
}

// A failure does not shorten the exclusion of a liar.
func TestLiarStaysExcluded(t *testing.T) {
	p := testPolicy(t)
	e := NewEstimate("a", p)
	e.Lie(epoch)
	e.Fail(epoch.Add(-time.Second), epoch, p)
	e.Observe(Sample{Took: time.Millisecond}, epoch)
	if got := e.Resting(epoch); got != badResultBackoff {
		t.Errorf("left alone for %v, want %v", got, badResultBackoff)
	}
}

func TestLate(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	s := Size{Bytes: 4096, Calls: 1, Rows: 1}
	e.Observe(Sample{Size: s, Took: 10 * time.Millisecond}, epoch)
	e.Late(s, 5*time.Millisecond, epoch)
	if got := e.Expected(s, epoch); !near(got, 10*time.Millisecond, time.Microsecond) {
		t.Errorf("expected %v: a cut at 5 ms says nothing about 10 ms", got)
	}
	e.Late(s, 2*time.Second, epoch)
	if got := e.Expected(s, epoch); !near(got, 2*time.Second, time.Millisecond) {
		t.Errorf("expected %v after a cut at 2 s", got)
	}
	now := epoch.Add(lateHalfLife)
	e.Probed(4096, 10*time.Millisecond, Load{}, now)
	if got := e.Expected(s, now); !near(got, time.Second, 10*time.Millisecond) {
		t.Errorf("expected %v after a half-life and a probe, want about half", got)
	}
	e.Observe(Sample{Size: s, Took: 10 * time.Millisecond}, now)
	if got := e.Expected(s, now); !near(got, 10*time.Millisecond, time.Millisecond) {
		t.Errorf("expected %v after a success", got)
	}
}

// The cutoff of a peer known well follows its p95 where another could take
// over; of others, of much larger asks and of only holders, it is generous.
func TestEstimateCutoff(t *testing.T) {
	p := testPolicy(t)
	e := NewEstimate("a", p)
	s := Size{Bytes: 4096, Calls: 2, Rows: 2}
	last := e.Cutoff(s, 0, true, epoch, p)
	if last < p.DeadlineFloor {
		t.Errorf("cutoff %v of an unknown peer", last)
	}
	for i := range 40 {
		at := epoch.Add(time.Duration(i) * 50 * time.Millisecond)
		e.Observe(Sample{Size: s, Took: 30 * time.Millisecond}, at)
		got := e.Cutoff(s, 0, true, at, p)
		if got > last || i == 1+2*patienceHalves && got != p.DeadlineFloor/4 {
			t.Errorf("cutoff %v after %d answers, %v before", got, i+1, last)
		}
		last = got
	}
	now := epoch.Add(2 * time.Second)
	if got := e.Cutoff(s, 0, true, now, p); got < 120*time.Millisecond || got > 130*time.Millisecond {
		t.Errorf("cutoff %v, want four times a p95 of about 30 ms", got)
	}
	if got := e.Cutoff(s, 2, true, now, p); got < 480*time.Millisecond || got > 520*time.Millisecond {
		t.Errorf("cutoff %v after two laps, want four times as long", got)
	}
	if got := e.Cutoff(s, 0, false, now, p); got != loneFloor {
		t.Errorf("cutoff %v of an only holder", got)
	}
	if got := e.Cutoff(Size{Bytes: 100 * 4096, Calls: 20, Rows: 200}, 0, true, now, p); got < p.DeadlineFloor {
		t.Errorf("cutoff %v of an ask a hundred times as large as any seen", got)
	}
	if got := e.Cutoff(s, 60, true, now, p); got != deadlineMax {
		t.Errorf("cutoff %v after sixty laps", got)
	}
}

// An ask that was outrun teaches that its peer is slow, until it succeeds or
// two probes say otherwise; one that was cancelled early teaches nothing.
func TestOutrun(t *testing.T) {
	e := NewEstimate("a", testPolicy(t))
	s := Size{Bytes: 4096, Calls: 1, Rows: 1}
	for i := range 40 {
		e.Observe(Sample{Size: s, Took: 10 * time.Millisecond}, epoch.Add(time.Duration(i)*50*time.Millisecond))
	}
	now := epoch.Add(2 * time.Second)
	e.Outrun(s, 5*time.Millisecond, 10*time.Millisecond, now)
	if got := e.Expected(s, now); !near(got, 10*time.Millisecond, time.Microsecond) {
		t.Errorf("expected %v after an early cancel", got)
	}
	e.Outrun(s, 50*time.Millisecond, 10*time.Millisecond, now)
	if got := e.Expected(s, now); !near(got, 50*time.Millisecond, time.Millisecond) || e.Suspect() {
		t.Errorf("expected %v after it was outrun at 50 ms, suspect %v", got, e.Suspect())
	}
	for range 2 {
		e.Probed(4096, 10*time.Millisecond, Load{}, now)
	}
	if got := e.Expected(s, now); got > 12*time.Millisecond {
		t.Errorf("expected %v after two probes", got)
	}
}

// Failures make a peer look slower for some minutes, strays too.
func TestRisk(t *testing.T) {
	p := testPolicy(t)
	steady, failing, stray := at(t, "a", 10*time.Millisecond, 0), at(t, "b", 10*time.Millisecond, 0), at(t, "c", 10*time.Millisecond, 0)
	for i := range 40 {
		now := epoch.Add(time.Duration(i) * 50 * time.Millisecond)
		s := Sample{Size: Size{Bytes: 512, Calls: 1, Rows: 1}, Took: 10 * time.Millisecond, Expected: 10 * time.Millisecond}
		steady.Observe(s, now)
		if failing.Observe(s, now); i%4 == 0 {
			failing.Fail(now.Add(time.Millisecond), now.Add(time.Millisecond), p)
		}
		if i%8 == 0 {
			s.Took *= 6
		}
		stray.Observe(s, now)
	}
	now := epoch.Add(2 * time.Second)
	if r := steady.risk(now); r > 1.03 {
		t.Errorf("risk %.2f of a steady peer", r)
	}
	if r := failing.risk(now); r < 1.2 || failing.risk(now.Add(time.Hour)) > 1.03 {
		t.Errorf("risk %.2f of a peer of which a fifth fails, %.2f an hour later", r, failing.risk(now.Add(time.Hour)))
	}
	if r := stray.risk(now); r < 1.5 {
		t.Errorf("risk %.2f of a peer that strays sixfold", r)
	}
}

package routing

import (
	"hash/fnv"
	"math"
	"time"
)

// Size is what the time of an attempt depends on.
type Size struct {
	Bytes int // of rows, there and back
	Calls int
	Rows  int // summed over the calls
}

// Sample is one measured attempt.
type Sample struct {
	Size
	Took            time.Duration // as measured here
	Queued, Compute time.Duration // parts of it, as the peer says
	Waiting         int           // frames that waited at the peer at the end
}

// Estimate is what is known of one peer. Its methods are pure functions of it
// and their arguments; the zero value is not ready, see [NewEstimate].
type Estimate struct {
	Peer Peer
	tie  uint64 // hash of Peer: the order among equals, with a plan's seed

	net   line    // seconds on the way, over bytes
	work  line    // seconds of compute per call, over rows per call
	queue float64 // seconds a frame waits there, as of queueAt
	late  float64 // seconds that attempts cut off were past expectation, as of lateAt

	queueAt    time.Time
	lateAt     time.Time
	measuredAt time.Time // zero: never

	flying Size // our own attempts that are under way there

	failures  int       // in a row
	refusals  int       // for overload, in a row
	failedAt  time.Time // when the last failure came
	restUntil time.Time // not to be asked before
}

// NewEstimate is the prior for a peer not measured yet.
func NewEstimate(peer Peer, p Policy) Estimate {
	const (
		// Frames of decoding have some KiB; only larger differences tell
		// bandwidth from jitter.
		spreadBytes = 16 << 10
		// Likewise for rows per call: one or two rows cost the same.
		spreadRows = 4
	)
	h := fnv.New64a()
	_, _ = h.Write([]byte(peer)) // a hash's Write never fails
	return Estimate{
		Peer: peer,
		tie:  h.Sum64(),
		net:  line{baseline: p.PriorRTT.Seconds(), slope0: 1 / float64(priorBandwidth), spread: spreadBytes},
		work: line{baseline: priorCall.Seconds(), slope0: priorRow.Seconds(), spread: spreadRows},
	}
}

// Observe takes in a success. What the peer says about itself only divides up
// the time measured here; it cannot change the sum.
func (e *Estimate) Observe(s Sample, now time.Time) {
	alpha := e.weight(now)
	queued := min(max(s.Queued, 0), s.Took)
	compute := min(max(s.Compute, 0), s.Took-queued)
	e.net.observe(float64(s.Bytes), (s.Took - queued - compute).Seconds(), alpha)
	calls := float64(max(s.Calls, 1))
	e.work.observe(float64(s.Rows)/calls, compute.Seconds()/calls, alpha)
	// Those that wait now are thought to be like this frame. A thousand
	// waiting frames are as bad as more.
	behind := compute * time.Duration(min(max(s.Waiting, 0), 1000))
	e.sawQueue(max(queued, behind), now)
	e.late = 0
	e.measuredAt = now
	e.failures, e.refusals = 0, 0
}

// Probed takes in an answered probe: so many bytes, there and back together,
// took so long. It clears suspicion, as the peer is there, but not lateness:
// whoever answers pings and no calls must not look fast.
func (e *Estimate) Probed(bytes int, took time.Duration, l Load, now time.Time) {
	e.net.observe(float64(bytes), took.Seconds(), e.weight(now))
	e.sawQueue(l.Queued, now)
	e.measuredAt = now
	e.failures, e.refusals = 0, 0
}

// sawQueue averages the queue with a new sighting, half and half: it moves
// faster than paths do.
func (e *Estimate) sawQueue(ahead time.Duration, now time.Time) {
	e.queue = (faded(e.queue, now.Sub(e.queueAt), queueHalfLife) + min(max(ahead, 0), time.Minute).Seconds()) / 2
	e.queueAt = now
}

// queueNow is the wait expected there, in seconds.
func (e *Estimate) queueNow(now time.Time) float64 {
	return faded(e.queue, now.Sub(e.queueAt), queueHalfLife) + faded(e.late, now.Sub(e.lateAt), lateHalfLife)
}

// weight is how much a sample counts now: more after a silence.
func (e *Estimate) weight(now time.Time) float64 {
	if e.measuredAt.IsZero() {
		return 1
	}
	idle := max(now.Sub(e.measuredAt), 0)
	return max(smoothing, 1-math.Exp(-idle.Seconds()/forgetting.Seconds()))
}

// Late takes in an attempt of this size that was cut off after took: it would
// have needed longer, so a time below what is expected teaches nothing. What
// is above is expected again, fading, until an attempt succeeds.
func (e *Estimate) Late(s Size, took time.Duration, now time.Time) {
	if over := took - e.Expected(s, now); over > 0 {
		e.late = faded(e.late, now.Sub(e.lateAt), lateHalfLife) + over.Seconds()
		e.lateAt = now
	}
}

// faded is v after halving once per half-life.
func faded(v float64, age, halfLife time.Duration) float64 {
	if v == 0 {
		return 0
	}
	return v * math.Exp2(-max(age, 0).Seconds()/halfLife.Seconds())
}

// Fail takes in a failure that the peer is to be blamed for, of an attempt
// begun at the given time, and returns how long the peer is left alone.
// Attempts that were under way when the peer failed before count as the same
// failure: they say nothing new.
func (e *Estimate) Fail(began, now time.Time, p Policy) time.Duration {
	if began.After(e.failedAt) {
		e.failures++
		e.failedAt = now
	}
	return e.rest(doubled(p.BackoffMin, p.BackoffMax, e.failures-1), now)
}

// Refuse takes in a refusal for overload, without blame. wait is the peer's
// own word on when to come back; 0 if it said none.
func (e *Estimate) Refuse(wait time.Duration, now time.Time) time.Duration {
	e.refusals++
	wait = min(max(wait, doubled(overloadMin, overloadMax, e.refusals-1)), overloadMax)
	e.sawQueue(wait, now)
	return e.rest(wait, now)
}

// Lie takes in a result that no honest peer sends.
func (e *Estimate) Lie(now time.Time) time.Duration {
	e.failures++
	e.failedAt = now
	return e.rest(badResultBackoff, now)
}

// rest leaves the peer alone for d, or for as long as it is already left.
func (e *Estimate) rest(d time.Duration, now time.Time) time.Duration {
	if until := now.Add(d); until.After(e.restUntil) {
		e.restUntil = until
	}
	return d
}

// Resting says how long the peer is still to be left alone.
func (e *Estimate) Resting(now time.Time) time.Duration { return max(0, e.restUntil.Sub(now)) }

// Suspect says that the peer's last attempt failed by its fault, and that
// nothing has succeeded since.
func (e *Estimate) Suspect() bool { return e.failures > 0 }

// Measured says when the estimate was last measured; false: never.
func (e *Estimate) Measured() (time.Time, bool) { return e.measuredAt, !e.measuredAt.IsZero() }

// Expected is the time that an attempt of this size would take.
func (e *Estimate) Expected(s Size, now time.Time) time.Duration {
	c := e.cost(now)
	return time.Duration(c.seconds(float64(s.Bytes), float64(s.Calls), float64(s.Rows)) * float64(time.Second))
}

// RTT is the part of it that is spent on the way.
func (e *Estimate) RTT(bytes int) time.Duration {
	return time.Duration(e.net.at(float64(bytes)) * float64(time.Second))
}

// cost is an estimate at one moment, reduced to the linear form that a plan
// evaluates many times.
type cost struct {
	fixed, perByte, perCall, perRow float64 // seconds
}

func (e *Estimate) cost(now time.Time) cost {
	base, perByte := e.net.parts()
	perCall, perRow := e.work.parts()
	ours := float64(e.flying.Calls)*perCall + float64(e.flying.Rows)*perRow
	return cost{fixed: base + e.queueNow(now) + ours, perByte: perByte, perCall: perCall, perRow: perRow}
}

func (c *cost) seconds(bytes, calls, rows float64) float64 {
	return c.fixed + c.perByte*bytes + c.perCall*calls + c.perRow*rows
}

// doubled is least × 2^n, at most most.
func doubled(least, most time.Duration, n int) time.Duration {
	d := least
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

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
	Rows  int  // summed over the calls
	Kind  Kind // of the calls, which are of one layer
}

// Sample is one measured attempt.
type Sample struct {
	Size
	Took            time.Duration // as measured here
	Expected        time.Duration // what was expected when it was sent; 0: it was not noted
	Queued, Compute time.Duration // parts of it, as the peer says
	Waiting         int           // frames that waited at the peer at the end
}

// Estimate is what is known of one peer. Its methods are pure functions of it
// and their arguments; the zero value is not ready, see [NewEstimate].
type Estimate struct {
	Peer Peer
	tie  uint64 // hash of Peer: the order among equals, with a plan's seed

	// What plans read stands together: they go through a thousand estimates.
	excluded  bool      // found to give wrong answers: asked nothing
	failures  int       // in a row
	restUntil time.Time // to be left alone until then
	shunUntil time.Time // likewise, for a bad result: whatever succeeds or fails meanwhile
	failedAt  time.Time // when the last failure came
	failRate  float64   // moving share of attempts that failed by the peer's fault, as of failedAt
	trust     float64   // what a plan multiplies its time with for the peer's reputation; at least 1
	way       cost      // net, reduced; see refresh
	flying    Size      // our own attempts that are under way there
	queue     float64   // seconds a frame waits there, as of queueAt
	late      float64   // seconds that attempts cut off were past expectation, as of lateAt
	queueAt   time.Time
	lateAt    time.Time
	lateOnce  bool   // it was late, but had answered in time before
	spread    spread // of took ÷ expected

	net  line  // seconds on the way, over bytes
	work works // compute, by kind

	measuredAt time.Time // zero: never
	refusals   int       // for overload, in a row
}

// NewEstimate is the prior for a peer not measured yet.
func NewEstimate(peer Peer, p Policy) Estimate {
	return newEstimate(peer, p.PriorRTT, priorBandwidth)
}

// NewRelayedEstimate is the prior for a peer that a third node relays to: two
// ways instead of one, over a line that others share.
func NewRelayedEstimate(peer Peer, p Policy) Estimate {
	return newEstimate(peer, p.RelayedRTT, relayedBandwidth)
}

func newEstimate(peer Peer, rtt time.Duration, bandwidth float64) Estimate {
	// Frames of decoding have some KiB; only larger differences tell bandwidth
	// from jitter.
	const spreadBytes = 16 << 10
	h := fnv.New64a()
	_, _ = h.Write([]byte(peer)) // a hash's Write never fails
	e := Estimate{
		Peer:   peer,
		tie:    h.Sum64(),
		trust:  1,
		net:    line{baseline: rtt.Seconds(), slope0: 1 / bandwidth, spread: spreadBytes},
		spread: newSpread(),
	}
	e.refresh()
	return e
}

// refresh reduces the line of the way to the form that plans read.
func (e *Estimate) refresh() {
	base, perByte := e.net.parts()
	e.way = cost{fixed: base, perByte: perByte}
}

// Observe takes in a success. What the peer says about itself only divides up
// the time measured here; it cannot change the sum.
func (e *Estimate) Observe(s Sample, now time.Time) {
	if !e.measuredAt.IsZero() { // the prior is not an expectation that one can miss
		e.strayed(s.Size, s.Took, s.Expected, now)
	}
	alpha := e.weight(now)
	queued := min(max(s.Queued, 0), s.Took)
	compute := min(max(s.Compute, 0), s.Took-queued)
	e.net.observe(float64(s.Bytes), (s.Took - queued - compute).Seconds(), alpha)
	e.work.observe(s.Size, compute, now)
	// Those that wait now are thought to be like this frame. A thousand
	// waiting frames are as bad as more.
	behind := compute * time.Duration(min(max(s.Waiting, 0), 1000))
	e.sawQueue(max(queued, behind), now)
	e.late = 0
	e.succeeded(now)
}

// strayed takes in by how much an attempt missed its expectation. Of one that
// was not awaited to its end that is the least by which it would have.
func (e *Estimate) strayed(s Size, took, expected time.Duration, now time.Time) {
	if expected <= 0 {
		expected = e.Expected(s, now)
	}
	e.spread.observe(took.Seconds()/max(expected, time.Microsecond).Seconds(), now.Sub(e.measuredAt))
}

// succeeded notes that the peer was there: it need not rest any more, but for
// a bad result.
func (e *Estimate) succeeded(now time.Time) {
	e.restUntil = e.shunUntil
	e.refresh()
	e.measuredAt = now
	e.failures, e.refusals = 0, 0
	e.failRate *= 1 - failureWeight
}

// Probed takes in an answered probe: so many bytes, there and back together,
// took so long. It clears suspicion, as the peer is there, and most lateness
// of a peer whose calls were answered well before. Not that of others: whoever
// answers pings and no calls must not look fast.
func (e *Estimate) Probed(bytes int, took time.Duration, l Load, now time.Time) {
	e.net.observe(float64(bytes), took.Seconds(), e.weight(now))
	e.sawQueue(l.Queued, now)
	if e.lateOnce {
		e.late *= lateProbed
	}
	e.succeeded(now)
}

// sawQueue averages the queue with a new sighting, half and half: it moves
// faster than paths do.
func (e *Estimate) sawQueue(ahead time.Duration, now time.Time) {
	e.queue = (faded(e.queue, now.Sub(e.queueAt), queueHalfLife) + min(max(ahead, 0), time.Minute).Seconds()) / 2
	if e.queue < 1e-6 { // drained
		e.queue = 0
	}
	e.queueAt = now
}

// queueNow is the wait expected there, in seconds.
func (e *Estimate) queueNow(now time.Time) float64 {
	if e.queue == 0 && e.late == 0 { // most of a thousand peers: differences of times are dear
		return 0
	}
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
		e.lateOnce = e.spread.known()
	}
}

// Outrun takes in an attempt that was cancelled after took because another
// peer had answered its duplicate. Like Late, but no failure: this peer might
// have been next.
func (e *Estimate) Outrun(s Size, took, expected time.Duration, now time.Time) {
	if took <= expected {
		return
	}
	if !e.measuredAt.IsZero() {
		e.strayed(s, took, expected, now)
	}
	e.Late(s, took, now)
}

// faded is v after halving once per half-life.
func faded(v float64, age, halfLife time.Duration) float64 {
	const nothing = 32 // half-lives, after which less than a nanosecond of a second is left
	if v == 0 || age > nothing*halfLife {
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
		e.failRate = faded(e.failRate, now.Sub(e.failedAt), failureHalfLife)*(1-failureWeight) + failureWeight
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
	e.failures = max(e.failures+1, breakerTrips)
	e.failedAt = now
	e.shunUntil = now.Add(badResultBackoff)
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
func (e *Estimate) Resting(now time.Time) time.Duration {
	if e.restUntil.IsZero() {
		return 0
	}
	return max(0, e.restUntil.Sub(now))
}

// Suspect says that the peer's last attempt failed by its fault, and that
// nothing has succeeded since.
func (e *Estimate) Suspect() bool { return e.failures > 0 }

// Measured says when the estimate was last measured; false: never.
func (e *Estimate) Measured() (time.Time, bool) { return e.measuredAt, !e.measuredAt.IsZero() }

// Expected is the time that an attempt of this size would take.
func (e *Estimate) Expected(s Size, now time.Time) time.Duration {
	c := e.cost(s.Kind, now)
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

// cost is that of calls of one kind. What is under way there counts as if it
// were of the same kind: a node runs one model, nearly always.
func (e *Estimate) cost(k Kind, now time.Time) cost {
	c := e.way
	c.perCall, c.perRow = e.work.of(k)
	c.fixed += e.queueNow(now)
	if f := &e.flying; f.Calls > 0 {
		c.fixed += float64(f.Calls)*c.perCall + float64(f.Rows)*c.perRow
	}
	return c
}

// soonest is a time, in seconds above 0, before which a plan expects no answer,
// whatever is asked: the way alone, which nothing a plan adds makes shorter. It
// is one look at the estimate, where the exact time takes many.
func (e *Estimate) soonest() float64 { return max(e.way.fixed, math.SmallestNonzeroFloat64) }

// risk is what a plan multiplies the mean time of a peer with: the slowest of
// its peers decides a layer, so peers that stray, fail or are little trusted
// must look slower than their mean.
func (e *Estimate) risk(now time.Time) float64 {
	var fails float64
	if e.failRate > 0 {
		fails = faded(e.failRate, now.Sub(e.failedAt), failureHalfLife)
	}
	p95 := e.spread.p95
	if !e.spread.known() { // one late answer among few is no tail yet
		p95 = min(p95, spreadPriorRatio)
	}
	return (1 + tailWeight*(p95-1)) * (1 + failureCost*fails) * max(e.trust, 1)
}

func (c *cost) times(f float64) {
	c.fixed *= f
	c.perByte *= f
	c.perCall *= f
	c.perRow *= f
}

func (c *cost) seconds(bytes, calls, rows float64) float64 {
	return c.fixed + c.perByte*bytes + c.perCall*calls + c.perRow*rows
}

// Tail is the p95 of an attempt of this size.
func (e *Estimate) Tail(s Size, now time.Time) time.Duration {
	return time.Duration(float64(e.Expected(s, now)) * e.tail(s.Bytes))
}

// tail is p95 over the mean. Of much larger attempts than were seen it is the
// prior's at least.
func (e *Estimate) tail(bytes int) float64 {
	if float64(bytes) > familiarSizes*e.net.x {
		return max(e.spread.p95, spreadPriorRatio)
	}
	return e.spread.p95
}

// Median is the p50 of an attempt of this size.
func (e *Estimate) Median(s Size, now time.Time) time.Duration {
	return time.Duration(float64(e.Expected(s, now)) * e.spread.p50)
}

// Cutoff is how long an attempt of this size is awaited. laps is how often all
// holders were tried in vain. spare says that another holder could do the
// work: without one, the same is asked again.
func (e *Estimate) Cutoff(s Size, laps int, spare bool, now time.Time, p Policy) time.Duration {
	expected := min(e.Expected(s, now), deadlineMax)
	d := max(p.DeadlineFloor, time.Duration(p.DeadlineFactor*float64(expected)))
	if e.spread.answered > 0 && float64(s.Bytes) <= familiarSizes*e.net.x {
		d = min(d, max(e.patience(spare, p), time.Duration(p.CutoffFactor*float64(min(e.Tail(s, now), deadlineMax)))))
	}
	return doubled(d, deadlineMax, laps)
}

// patience is the least that a cutoff may be: less, the better the peer is
// known.
func (e *Estimate) patience(spare bool, p Policy) time.Duration {
	d := p.CutoffFloor
	if !e.spread.known() {
		d = max(d, p.DeadlineFloor>>(e.spread.answered/patienceHalves))
	}
	if !spare {
		d = max(d, loneFloor)
	}
	return d
}

// doubled is least × 2^n, at most most.
func doubled(least, most time.Duration, n int) time.Duration {
	d := least
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

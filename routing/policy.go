package routing

import (
	"fmt"
	"time"
)

// Policy holds the numbers that decisions depend on. A zero field means its
// default.
type Policy struct {
	// MissingWait is how long a call waits for a holder to appear or to come
	// back before it fails with [expert.ErrNoHolder]. Below 0: not at all.
	// Default 20 s: a restarted holder is back and found within it, and a
	// person still believes that the answer goes on.
	MissingWait time.Duration

	// An attempt at a peer not known yet that takes longer than
	// max(DeadlineFloor, DeadlineFactor × expected time) is a straggler: it is
	// cancelled and its calls move. The deadline doubles each time every holder
	// of a call has been tried in vain, so that a swarm that is merely slow
	// still gets there.
	// Default factor 8: eight times the mean is past any tail a healthy link
	// shows. Default floor 2 s: a holder that reads a cold expert from a slow
	// disk needs about one.
	DeadlineFactor float64
	DeadlineFloor  time.Duration

	// Of a peer that is known, an attempt is cut off after max(CutoffFloor,
	// CutoffFactor × its p95) if that is sooner. Where no other holder could take
	// over the floor is 200 ms, and the same peer is asked again. Of a peer known a
	// little it lies in between: it halves with every third answer.
	// Default factor 4: at its p95 an attempt is duplicated already if the
	// budget allows, so a cut is for what is broken rather than slow. Default
	// floor 50 ms: pauses of the system's own, such as a garbage collection or
	// a busy processor, stay below it.
	CutoffFactor float64
	CutoffFloor  time.Duration

	// Hedge says when calls are duplicated, and HedgeBudget for what share of
	// all calls at most. Default 5 %: what a p95 leaves over.
	Hedge       Hedge
	HedgeBudget float64

	// PriorRTT is the round trip expected of a peer not measured yet.
	// Default 60 ms, within a continent: a measured near peer goes first, a
	// measured far one does not.
	PriorRTT time.Duration
	// RelayedRTT is the same for a peer that can only be reached through a
	// third node. Default 150 ms: two legs, and a detour.
	RelayedRTT time.Duration

	// A peer that fails is left alone for BackoffMin, doubled with each
	// further failure up to BackoffMax. Default 250 ms, about a reconnection,
	// to 5 s: a failed peer is the last choice anyway until a probe succeeds,
	// and an expert's only holder should be found soon after its return.
	BackoffMin, BackoffMax time.Duration

	// StaleAfter is the age past which an estimate is worth a probe. Default
	// 3 s: paths and loads change by the minute, a person notices by the
	// second.
	StaleAfter time.Duration
	// ProbesPerSecond is the budget of Run over all peers. Below 0: none.
	// Default 8: with one row of 2048 floats a probe, 128 KiB/s.
	ProbesPerSecond int

	// Seed breaks ties between equally good peers. Routers with different
	// seeds spread over them. Default: drawn at random.
	Seed uint64
}

// Numbers that nobody has needed to change.
const (
	// smoothing is the weight of a new sample in a moving average: after five
	// samples three quarters of what is believed is new.
	smoothing = 0.25
	// forgetting is the time constant with which an estimate loses weight
	// while nothing is measured: after 3 s, when idle peers are probed, the
	// new sample counts 95 %, so one probe finds a peer that became fast. At
	// the pace of decoding it plays no part.
	forgetting = time.Second
	// queueHalfLife is how fast a reported queue is thought to drain. Layers
	// come every few tens of milliseconds and take the queue with them.
	queueHalfLife = 200 * time.Millisecond
	// lateHalfLife is how fast a cut-off attempt is forgotten that no success
	// has followed. A peer 2 s late is then avoided for minutes where others
	// take tens of milliseconds.
	lateHalfLife = 30 * time.Second
	// lateProbed is what a probe leaves of the lateness of a peer that had
	// been in time before: two probes, and it is tried again.
	lateProbed = 1. / 8

	// priorBandwidth, in bytes per second, is 100 Mbit/s: a home uplink.
	priorBandwidth = 12.5e6
	// relayedBandwidth is a tenth of it: relays serve many and limit each.
	relayedBandwidth = 1.25e6
	// priorReading, in bytes per second, is how fast weights are read: half of
	// what one core of a desktop does. priorCall and priorRow are the compute
	// of a call of an unknown kind: weights of 2.8 MB, read once, then each
	// row costs about a tenth of that.
	priorReading = 10e9
	priorCall    = 300 * time.Microsecond
	priorRow     = 30 * time.Microsecond

	// deadlineMax bounds an attempt whatever the estimate says: the largest
	// ask over the prior bandwidth takes 2.7 s, and its work no minute.
	deadlineMax = time.Minute

	// suspectPenalty is added in plans to a peer whose last attempt failed:
	// it is asked only when no healthy peer holds the expert, until an
	// attempt or a probe succeeds.
	suspectPenalty = time.Second
	// overloadMin and overloadMax bound the back-off after a refusal that
	// carries no blame. A queue drains within some frames.
	overloadMin = 20 * time.Millisecond
	overloadMax = time.Second
	// badResultBackoff excludes a peer that sent what no honest peer sends:
	// long enough to matter, short enough that a repaired node comes back.
	badResultBackoff = 10 * time.Minute
	// unknownExpertBackoff is how long a holding is disregarded after its
	// peer denied it. Fresh announcements arrive within that time.
	unknownExpertBackoff = 30 * time.Second

	// loneFloor is the least wait for an expert's only holder. To ask it again
	// throws its work away, but an ask that is lost is never answered, and with
	// each time in vain the wait doubles, so that one that is slow gets there in
	// twice its time. What it had to read from disk by then it has read.
	loneFloor = 200 * time.Millisecond
	// patienceHalves is with how many answers a peer that nobody knew yet is
	// waited for half as long.
	patienceHalves = 3
	// familiarSizes is how many times larger than the mean of those measured an
	// attempt may be to be judged by their spread: beyond, the fit is a guess.
	familiarSizes = 4
	// failureWeight is that of one attempt in the moving share of failures.
	// failureHalfLife forgets failures while nothing is asked of the peer.
	failureWeight   = 1. / 32
	failureHalfLife = 2 * time.Minute
	// failureCost is what a failed attempt costs in terms of a good one: its
	// own time, that of the one that replaces it, and a frame more.
	failureCost = 2
	// tailWeight is how much of the way from the mean to p95 a plan reckons
	// with. A layer has one to a handful of peers, so what its slowest needs
	// lies above the mean and below p95; a hedge cuts off the rest.
	tailWeight = 0.25
	// choiceSlack is how much slower than the best a peer may be and still be
	// as good a choice. The seed decides among them, so that many gating
	// nodes that know the same do not all run to the same holder.
	choiceSlack = 0.05
	// exploring is the inverse of the share of plans that disregard trust, so
	// that new peers get to earn it.
	exploring = 50

	// hedgeLeast is the least wait before a duplicate: what is quicker is
	// within the jitter of timers and schedulers.
	hedgeLeast = time.Millisecond
	// atOnce is the wait of a critical duplicate: not 0, which is no hedge.
	atOnce = time.Nanosecond
	// criticalTail: a layer whose p95 is so many times the time expected of it
	// depends on the tail of few peers.
	criticalTail = 2
	// criticalFew is how many they may be.
	criticalFew = 2
	// criticalReserve is the share of the budget that critical duplicates leave
	// for those of attempts that are late in fact.
	criticalReserve = 0.5
	// budgetMost bounds what the budget can save up, in calls: some layers of
	// top-8, so that a calm hour does not pay for a storm of duplicates.
	budgetMost = 64
	// busyMost is the share of an attempt's time spent at its peer, waiting and
	// computing, beyond which processors and not the way are what it waits for.
	// A duplicate waits for them too, and takes them from others; busyPatience
	// is how many times its p95 it is given then, which load alone does not
	// explain.
	busyMost     = 0.5
	busyPatience = 3

	// maxProbing bounds the probes under way at once: one that waits for a lost
	// peer must not keep the others from theirs.
	maxProbing = 8
	// probeListed: peers that no plan has considered for so long need no
	// probe, since no model in use needs them.
	probeListed = time.Minute
	// A probe is as large as the rows usually sent, within these bounds: less
	// than a frame's header tells nothing, more than a few rows is a burden.
	minProbeBytes = 64
	maxProbeBytes = 64 << 10

	// retryLeast and retryMost bound the pauses between two looks for a
	// holder. The directory is in memory, so looking is cheap.
	retryLeast = 20 * time.Millisecond
	retryMost  = 500 * time.Millisecond
	// askMissing is the least time between two requests of a round to look
	// for holders in the swarm: a look-up takes about as long.
	askMissing = time.Second

	// maxPeers bounds the peers remembered, at about 300 bytes each. Others
	// are not asked until a place is free.
	maxPeers = 4096
	// forgetPeerAfter is when a peer that no plan has considered gives its
	// place away, should places be short.
	forgetPeerAfter = 10 * time.Minute
	// maxHoldings bounds the experts whose holders are cached: ten models of
	// 48 layers × 128 experts.
	maxHoldings = 1 << 16
	// maxCalls bounds the calls of a layer: as many as a plan can number.
	maxCalls = 1 << easeCall
	// maxAskBytes bounds the rows of one ask, sent and returned together. A
	// larger attempt is cut between calls. A quarter of the largest frame, so
	// that short frames do not wait long behind long ones.
	maxAskBytes = 16 << 20
	// maxAskWork bounds what the holder computes for one ask, before it sums:
	// half of what a frame may cause.
	maxAskWork = 32 << 20
	// maxAttempts bounds the attempts of one call. Fewer would give up on an
	// only holder that is overloaded for MissingWait; more would let a swarm
	// of impostors hold a call for ever.
	maxAttempts = 100
)

func (p Policy) validate() (Policy, error) {
	if p.DeadlineFactor < 0 || p.DeadlineFloor < 0 || p.PriorRTT < 0 || p.BackoffMin < 0 || p.BackoffMax < 0 || p.StaleAfter < 0 ||
		p.CutoffFactor < 0 || p.CutoffFloor < 0 || p.RelayedRTT < 0 {
		return p, fmt.Errorf("routing: policy has a negative duration or factor: %+v", p)
	}
	p.MissingWait = orDefault(p.MissingWait, 20*time.Second)
	p.DeadlineFactor = orDefault(p.DeadlineFactor, 8)
	p.DeadlineFloor = orDefault(p.DeadlineFloor, 2*time.Second)
	p.PriorRTT = orDefault(p.PriorRTT, 60*time.Millisecond)
	p.RelayedRTT = orDefault(p.RelayedRTT, 150*time.Millisecond)
	p.CutoffFactor = orDefault(p.CutoffFactor, 4)
	p.CutoffFloor = orDefault(p.CutoffFloor, 50*time.Millisecond)
	p.HedgeBudget = orDefault(p.HedgeBudget, 0.05)
	p.BackoffMin = orDefault(p.BackoffMin, 250*time.Millisecond)
	p.BackoffMax = orDefault(p.BackoffMax, 5*time.Second)
	p.StaleAfter = orDefault(p.StaleAfter, 3*time.Second)
	p.ProbesPerSecond = orDefault(p.ProbesPerSecond, 8)
	switch {
	case !(p.DeadlineFactor >= 1):
		return p, fmt.Errorf("routing: deadline factor %v cuts off attempts that are on time; use at least 1", p.DeadlineFactor)
	case !(p.CutoffFactor >= 1):
		return p, fmt.Errorf("routing: cutoff factor %v cuts off attempts that are on time; use at least 1", p.CutoffFactor)
	case !(p.HedgeBudget > 0 && p.HedgeBudget <= 1):
		return p, fmt.Errorf("routing: a hedge budget of %v of the calls; want a share up to 1, or hedging off", p.HedgeBudget)
	case p.BackoffMax < p.BackoffMin:
		return p, fmt.Errorf("routing: longest back-off %v is below the shortest %v", p.BackoffMax, p.BackoffMin)
	}
	return p, nil
}

func orDefault[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

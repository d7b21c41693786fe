package routing

import (
	"cmp"
	"slices"
	"time"
)

// PeerStats is what a router knows of a peer and has had to do with it.
type PeerStats struct {
	Peer       Peer
	Measured   bool          // false: Expected and RTT are the prior's
	Age        time.Duration // of the last measurement
	Expected   time.Duration // for an attempt of the usual size
	RTT        time.Duration // the part of it that is spent on the way
	Queue      time.Duration // the part of it that is spent waiting there
	Resting    time.Duration // how long it is still left alone after a failure
	Suspect    bool          // its last attempt failed by its fault
	Breaker    Breaker
	P50, P95   time.Duration // of an attempt of the usual size
	Excluded   string        // why it is asked nothing any more; empty: it is
	Reputation Reputation
	Speeds     []KindSpeed // its compute, by kind
	InFlight   int         // calls under way there

	Attempts, Calls, Rows int // answered well
	Retries               int // of Calls, those that had failed elsewhere
	BytesOut, BytesIn     int64
	Probes                int
	Failures              [failureKinds]int // attempts that failed, by [Failure]
}

// Totals sums up what a router has done. Counters only grow.
type Totals struct {
	Rounds      int       // layers for which peers were asked
	LocalRounds int       // layers that needed no peer
	Round       Histogram // how long the rounds took, without the local ones
	LocalCalls  int
	RemoteCalls int
	Attempts    int     // asks sent, the failed ones included
	Failovers   int     // attempts whose calls had to move
	Missing     int     // calls that ended without a holder
	Hedges      int     // asks that duplicated another
	HedgedCalls int     // calls in them
	HedgesWon   int     // hedges whose answer was used
	WastedRows  int     // rows asked twice of which one answer was not needed
	Dropped     int     // optional calls given up
	DroppedMass float64 // gate weights of their rows
	Openings    int     // circuit breakers that opened
	BytesOut    int64
	BytesIn     int64
	HalfAnswers int // answers that came in half precision
}

// Totals gives the sums so far.
func (r *Router) Totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.totals
}

// Peers describes the peers that have been considered, ordered by name.
func (r *Router) Peers() []PeerStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	t := &r.mu.table
	out := make([]PeerStats, len(t.estimates))
	for i := range t.estimates {
		e, c := &t.estimates[i], &t.records[i]
		out[i] = PeerStats{
			Peer:     e.Peer,
			Expected: e.Expected(t.typical, now),
			RTT:      e.RTT(t.typical.Bytes),
			Queue:    time.Duration(e.queueNow(now) * float64(time.Second)),
			Resting:  e.Resting(now),
			Suspect:  e.Suspect(),
			Breaker:  e.Breaker(now),
			P50:      e.Median(t.typical, now), P95: e.Tail(t.typical, now),
			Excluded: c.reputation.Excluded, Reputation: c.reputation,
			Speeds:   e.Speeds(),
			InFlight: e.flying.Calls,
			Attempts: c.attempts, Calls: c.calls, Rows: c.rows, Retries: c.retries,
			BytesOut: c.bytesOut, BytesIn: c.bytesIn, Probes: c.probes, Failures: c.failures,
		}
		if at, ok := e.Measured(); ok {
			out[i].Measured, out[i].Age = true, now.Sub(at)
		}
	}
	slices.SortFunc(out, func(a, b PeerStats) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

package simswarm

import (
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

// Cast is who takes part in a scenario, and over what: the same values serve
// every fabric, in memory, over QUIC in virtual time, and real processes behind
// relays.
type Cast struct {
	Holders, Replicas int
	Link              Link   // of each holder
	Links             []Link // of the first holders, where they differ

	// Every so often a holder is killed, and is back after a while. 0: none is.
	KillEvery, Down time.Duration

	// Liar is the holder that lies, over a link of its own: it wants to be asked.
	// Below 0: none does.
	Liar     int
	LiarLink Link
}

// WAN is three holders, two replicas, on one of [Networks].
func WAN(n Network) Cast { return Cast{Holders: 3, Replicas: 2, Link: n.Link, Liar: -1} }

// Failures is eight holders, two replicas, 10 ms away; one is killed every 5 s
// and back 2 s later.
func Failures() Cast {
	const rtt = 10 * time.Millisecond
	return Cast{Holders: 8, Replicas: 2, Link: Link{RTT: rtt, Spread: 0.1, Jitter: rtt / 20},
		KillEvery: 5 * time.Second, Down: 2 * time.Second, Liar: -1}
}

// OneLiar is eight holders, two replicas, 1 ms away, of which one lies and is
// nearer.
func OneLiar() Cast {
	const rtt = time.Millisecond
	return Cast{Holders: 8, Replicas: 2, Link: Link{RTT: rtt, Spread: 0.1}, Liar: 3, LiarLink: Link{RTT: rtt / 2}}
}

// StaleMap is two holders of everything, 5 and 30 ms away, until
// [StaleSwapped] holds.
func StaleMap() Cast {
	return Cast{Holders: 2, Replicas: 2, Links: []Link{{RTT: 5 * time.Millisecond}, {RTT: 30 * time.Millisecond}}, Liar: -1}
}

// StaleSwapped is where they are then: the near one far, the far one near.
func StaleSwapped() []Link {
	return []Link{{RTT: 50 * time.Millisecond}, {RTT: 5 * time.Millisecond}}
}

// SlowReplica is three holders of everything, 5 ms away; the first is slow at
// times.
func SlowReplica() Cast {
	return Cast{Holders: 3, Replicas: 3, Link: Link{RTT: 5 * time.Millisecond, Jitter: 500 * time.Microsecond}, Liar: -1}
}

// Shares gives each holder its experts, so that each expert has so many
// replicas, on neighbours: expert e of a layer is at holders e, e+1, … modulo
// their number.
func (c Cast) Shares(ids []expert.ID) [][]expert.ID {
	shares := make([][]expert.ID, c.Holders)
	for _, id := range ids {
		for r := range min(c.Replicas, c.Holders) {
			at := (int(id.Index) + r) % c.Holders
			shares[at] = append(shares[at], id)
		}
	}
	return shares
}

// LinkOf is the way to a holder.
func (c Cast) LinkOf(i int) Link {
	switch {
	case i == c.Liar:
		return c.LiarLink
	case i < len(c.Links):
		return c.Links[i]
	}
	return c.Link
}

// Name is what a holder is called where it has no name of its own.
func (Cast) Name(i int) routing.Peer { return routing.Peer(fmt.Sprintf("holder-%d", i)) }

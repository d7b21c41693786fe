package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// The fabrics that a network scenario can run over. A third, real QUIC in
// virtual time, needs a test's clock and is in package swarm's tests.
const (
	fabricMemory    = "memory"    // package simswarm, in real time, with real computing
	fabricProcesses = "processes" // real nodes, each behind a relay that delays
)

// network is a named kind of link, the same on every fabric, with what the
// closest project published for it.
type network struct {
	name                 string
	link                 simswarm.Link
	peerRate, peerRoundM float64 // tokens/s, ms; 0: not published
}

// networks are the conditions of the wan scenario. Jitter holds a reply back by
// RTT ± jitter, evenly, as the published bench does.
func networks() []network {
	return []network{
		{"0ms", simswarm.Link{}, 7.02, 4.73},
		{"0.25ms", simswarm.Link{RTT: 250 * time.Microsecond, Jitter: 50 * time.Microsecond}, 5.97, 5.39},
		{"5ms", simswarm.Link{RTT: 5 * time.Millisecond, Jitter: 500 * time.Microsecond}, 0, 0},
		{"30ms", simswarm.Link{RTT: 30 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.001}, 1.13, 40.06},
	}
}

// spread gives each of n holders its share of the experts, so that each expert
// has so many replicas, on neighbours: expert e of a layer is at holders e,
// e+1, … modulo n.
func spread(ids []expert.ID, n, replicas int) [][]expert.ID {
	shares := make([][]expert.ID, n)
	for _, id := range ids {
		for r := range min(replicas, n) {
			at := (int(id.Index) + r) % n
			shares[at] = append(shares[at], id)
		}
	}
	return shares
}

func holderName(i int) routing.Peer { return routing.Peer(fmt.Sprintf("holder-%d", i)) }

// leaks tells, when called, how many goroutines there are more than when it
// was made. Some take a moment to end.
func leaks() func() int {
	before := runtime.NumGoroutine()
	return func() (left int) {
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			left = runtime.NumGoroutine() - before
			if left <= 0 || time.Now().After(end) {
				return max(left, 0)
			}
		}
	}
}

// checkLeaks turns goroutines left into an error.
func checkLeaks(left func() int, m Metrics) error {
	n := left()
	m["goroutines_left"] = float64(n)
	if n > 0 {
		return fmt.Errorf("%d goroutines are left at the end", n)
	}
	return nil
}

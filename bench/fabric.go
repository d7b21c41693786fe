package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// The fabrics that a network scenario can run over. The same scenarios in
// virtual time, in memory and over real QUIC, need a test's clock: they are in
// this package's tests and in those of package swarm.
const (
	fabricMemory    = "memory"    // package simswarm, in real time, with real computing
	fabricProcesses = "processes" // real nodes, each behind a relay that delays
)

// onProcesses lists the scenarios that real nodes can play.
func onProcesses() []string {
	return []string{"wan", "stale-map", "failures", "slow-replica", "liar"}
}

// networkDefaults fill in, by scenario, what it wants otherwise than the rest.
func networkDefaults() map[string]func(*Options) {
	return map[string]func(*Options){
		"wan": wanDefaults, "stale-map": staleDefaults, "failures": failDefaults,
		"slow-replica": slowDefaults, "liar": liarDefaults, "plan": planDefaults,
		"drafts": draftDefaults, "streams": streamsDefaults, "hot-experts": hotDefaults,
	}
}

// published is what the closest project measured for its wan bench, by
// network: tokens/s, and a layer's round in ms.
type published struct{ rate, round float64 }

func wanPublished() map[string]published {
	return map[string]published{"0ms": {7.02, 4.73}, "0.25ms": {5.97, 5.39}, "30ms": {1.13, 40.06}}
}

// into adds the numbers to a report. They are for one shape of model.
func (p published) into(m Metrics, name string, o Options) {
	if p.rate > 0 && o.Synthetic == wanShape {
		m[name+"published_tokens_per_s"], m[name+"published_round_ms"] = p.rate, p.round
	}
}

func holderName(i int) routing.Peer { return simswarm.Cast{}.Name(i) }

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

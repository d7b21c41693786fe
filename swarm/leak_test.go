package swarm

import (
	"runtime"
	"strings"
	"testing"
)

// Run leaves no goroutine behind, neither ours nor libp2p's.
func TestNothingIsLeftRunning(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}})
	b := startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(0, 1, 2, 3)}})
	a.await("coverage", a.covered)
	b.stop()
	a.stop()
	eventually(t, "all goroutines end", func() bool { return networkGoroutines() == 0 })
}

// networkGoroutines counts the goroutines that libp2p or this package began.
func networkGoroutines() (n int) {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		_, began, _ := strings.Cut(g, "\ncreated by ")
		if strings.Contains(began, "libp2p") || strings.Contains(began, "quic-go") || strings.Contains(began, "moeswarm/swarm.(*") {
			n++
		}
	}
	return n
}

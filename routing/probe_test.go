package routing

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert/experttest"
)

// runWith runs body beside r.Run and waits for both.
func runWith(t *testing.T, r *Router, body func(ctx context.Context)) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	body(ctx)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Two replicas, near and far, change places while calls go on. The one in use
// is seen to have become slow by its calls, the idle one to have become fast
// by a probe.
func TestStaleEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := n.join("a", 5*time.Millisecond, nil, testIDs...)
		b := n.join("b", 30*time.Millisecond, nil, testIDs...)
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs, 1, 4)
		round := func() time.Duration {
			began := time.Now()
			sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
			return time.Since(began)
		}
		runWith(t, r, func(context.Context) {
			for range 20 {
				round()
				time.Sleep(100 * time.Millisecond)
			}
			if took := round(); took != 5*time.Millisecond {
				t.Errorf("before: a round takes %v, want the near peer's 5 ms", took)
			}
			n.change(func() { a.rtt, b.rtt = 50*time.Millisecond, 5*time.Millisecond })
			slow := 0
			for range 50 {
				if round() > 10*time.Millisecond {
					slow++
				}
				time.Sleep(100 * time.Millisecond)
			}
			if slow > 8 {
				t.Errorf("after the swap %d rounds were slow, want at most 8", slow)
			}
			if took := round(); took != 5*time.Millisecond {
				t.Errorf("after: a round takes %v, want 5 ms", took)
			}

			// Only the probe can find this out: b is in use and stays good.
			n.change(func() { a.rtt = time.Millisecond })
			time.Sleep(2 * r.cfg.Policy.StaleAfter)
			round()
			if took := round(); took != time.Millisecond {
				t.Errorf("an idle peer became fast: a round takes %v, want 1 ms", took)
			}
		})
	})
}

// A peer that failed is not asked while a healthy one is there, until a probe
// succeeds.
func TestProbeClearsSuspicion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		near := n.join("near", time.Millisecond, nil, testIDs...)
		n.join("far", 20*time.Millisecond, nil, testIDs...)
		r := newTestRouter(t, n)
		measure(r, "near", time.Millisecond)
		measure(r, "far", 20*time.Millisecond)
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs, 1, 2)
		n.change(func() { delete(n.peers, "near") })
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		time.Sleep(10 * time.Second) // its rest is over, and nobody probes
		n.change(func() { n.peers["near"] = near })
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if near.asked != 0 {
			t.Error("a suspect peer was asked while a healthy one was there")
		}
		runWith(t, r, func(context.Context) { time.Sleep(10 * time.Second) })
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		if near.asked != 1 {
			t.Error("the peer is back, and is not asked")
		}
	})
}

// Probes stay within their budget, go round, and leave alone whom no plan has
// considered for long.
func TestProbeBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		const peers = 60
		for i := range peers {
			n.join(Peer('A'+rune(i)), 10*time.Millisecond, nil, testIDs[0])
		}
		r := newTestRouter(t, n, func(c *Config) { c.Policy.ProbesPerSecond = 5 })
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs[:1], 1, 1)
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		probes := func() (sum, least int) {
			least = 1 << 30
			for _, p := range r.Peers() {
				sum += p.Probes
				least = min(least, p.Probes)
			}
			return sum, least
		}
		runWith(t, r, func(context.Context) {
			time.Sleep(20 * time.Second)
			sum, least := probes()
			if sum > 100 || sum < 90 {
				t.Errorf("%d probes in 20 s, want 5 a second", sum)
			}
			if least == 0 {
				t.Errorf("a peer was never probed")
			}
			time.Sleep(time.Hour)
			if sum, _ := probes(); sum > 5*60+5 {
				t.Errorf("%d probes after an idle hour, want those of a minute", sum)
			}
		})
	})
}

// Probes that hang do not keep Run from others, and end with it.
func TestHangingProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		for i := range 4 {
			n.join(Peer('A'+rune(i)), time.Hour, nil, testIDs[0])
		}
		n.join("z", time.Millisecond, nil, testIDs[0])
		r := newTestRouter(t, n)
		measure(r, "z", time.Millisecond)
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs[:1], 1, 1)
		sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
		runWith(t, r, func(context.Context) { time.Sleep(5100 * time.Millisecond) })
		for _, p := range r.Peers() {
			switch {
			case p.Peer == "z" && p.Probes == 0:
				t.Error("the healthy peer was not probed")
			case p.Peer != "z" && (!p.Suspect || p.Failures[Straggled] == 0):
				t.Errorf("%s hangs and is not suspect: %v", p.Peer, p.Failures)
			}
		}
	})
}

// A peer that answers probes and lets calls hang is found out: it costs a
// straggler now and then, not one after each probe.
func TestAnswersProbesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		n.join("bait", time.Millisecond, hanging, testIDs...)
		n.join("honest", 20*time.Millisecond, nil, testIDs...)
		r := newTestRouter(t, n)
		in, calls := experttest.Batch(1, 1, testDim), experttest.Calls(1, testIDs, 1, 4)
		runWith(t, r, func(context.Context) {
			for began := time.Now(); time.Since(began) < 5*time.Minute; {
				sameAsReference(t, in, calls, r.Apply(t.Context(), in, calls))
				time.Sleep(50 * time.Millisecond)
			}
		})
		bait := r.Peers()[0]
		if bait.Probes < 20 || bait.Failures[Straggled] == 0 || bait.Failures[Straggled] > 3 {
			t.Errorf("%d stragglers and %d probes in five minutes, want 1 to 3 and many", bait.Failures[Straggled], bait.Probes)
		}
	})
}

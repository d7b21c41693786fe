package routing

import (
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
)

// conform runs the suite over a router whose swarm and configuration are set
// up by the given function. Expert 7 is held by nobody.
func conform(t *testing.T, setUp func(n *fakeNet, c *Config)) {
	held := testIDs[:7]
	experttest.Run(t, func(t *testing.T) (expert.Applier, experttest.Fixture) {
		n := newFakeNet()
		r := newTestRouter(t, n, func(c *Config) {
			c.Policy.MissingWait = 5 * time.Millisecond
			setUp(n, c)
		})
		t.Cleanup(func() { idle(t, r) })
		return r, experttest.Fixture{Dim: testDim, Held: held, Unheld: testIDs[7], Reference: reference()}
	})
}

func TestConformanceAllRemote(t *testing.T) {
	conform(t, func(n *fakeNet, _ *Config) { n.join("a", 0, nil, testIDs[:7]...) })
}

func TestConformanceSpread(t *testing.T) {
	conform(t, func(n *fakeNet, _ *Config) {
		for i, id := range testIDs[:7] {
			n.join(Peer('a'+rune(i)), time.Duration(i)*100*time.Microsecond, nil, id, testIDs[(i+3)%7])
		}
	})
}

func TestConformanceAllLocal(t *testing.T) {
	conform(t, func(_ *fakeNet, c *Config) {
		withLocal(testIDs[:7]...)(c)
		c.Directory, c.Caller, c.Prober = nil, nil, nil
	})
}

func TestConformanceSomeLocal(t *testing.T) {
	conform(t, func(n *fakeNet, c *Config) {
		withLocal(testIDs[0], testIDs[4])(c)
		n.join("a", 0, nil, testIDs[1:4]...)
		n.join("b", 0, nil, testIDs[3:7]...)
	})
}

// A peer that fails now and then, in each of the ways, changes no result.
func TestConformanceWithFaultyPeer(t *testing.T) {
	for _, c := range faults {
		if c.kind == Straggled {
			continue // takes real time here; TestFailover has it in virtual time
		}
		t.Run(c.name, func(t *testing.T) {
			conform(t, func(n *fakeNet, _ *Config) {
				n.join("bad", 0, every(2, c.fault), testIDs[:7]...)
				n.join("good", 0, nil, testIDs[:7]...)
			})
		})
	}
}

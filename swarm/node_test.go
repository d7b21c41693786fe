package swarm

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/routing"
)

// testPatience bounds every wait in these tests: far longer than anything
// takes, so that only a fault runs into it.
const testPatience = 20 * time.Second

// A model of three layers of four experts.
var testLayers = []int{4, 4, 4}

func testModel() expert.ModelID { return expert.ModelID{0: 0xab, 31: 0xcd} }

// experts lists the experts of all layers of testModel with these indices.
func experts(index ...int) (ids []expert.ID) {
	for l := range testLayers {
		for _, x := range index {
			ids = append(ids, expert.ID{Model: testModel(), Layer: uint16(l), Index: uint16(x)})
		}
	}
	return ids
}

func holds(index ...int) Offer {
	return Offer{Model: testModel(), Name: "test", Layers: testLayers, Held: experts(index...)}
}

func gates() Offer {
	return Offer{Model: testModel(), Name: "test", Layers: testLayers, Gates: true}
}

// zeros is an Applier that answers with zeros.
type zeros struct{}

func (zeros) Apply(_ context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	out := make([]expert.Result, len(calls))
	for i, c := range calls {
		out[i].Out = expert.NewBatch(len(c.Rows), in.Dim)
	}
	return out
}

// mute is a Completer that ends at once.
type mute struct{}

func (mute) Complete(context.Context, prompt.Request) iter.Seq2[prompt.Chunk, error] {
	return func(yield func(prompt.Chunk, error) bool) { yield(prompt.Chunk{Finish: prompt.FinishStop}, nil) }
}

// testNode is a Node at work.
type testNode struct {
	*Node
	t       *testing.T
	cancel  context.CancelFunc
	stopped chan struct{}
	err     error
}

// startNode runs a node on loopback until the test ends or stop is called.
func startNode(t *testing.T, cfg Config) *testNode {
	t.Helper()
	n := newTestNode(t, cfg)
	n.start()
	select {
	case <-n.Ready():
	case <-n.stopped:
		t.Fatalf("node did not start: %v", n.err)
	case <-time.After(testPatience):
		t.Fatal("node does not become ready")
	}
	return n
}

func newTestNode(t *testing.T, cfg Config) *testNode {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	for _, o := range cfg.Offers {
		if len(o.Held) > 0 && cfg.Serve == nil {
			cfg.Serve = zeros{}
		}
		if o.Gates && cfg.Completer == nil {
			cfg.Completer = mute{}
		}
	}
	if cfg.Log == nil && os.Getenv("SWARM_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &testNode{Node: n, t: t, stopped: make(chan struct{})}
}

func (n *testNode) start() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		defer close(n.stopped)
		n.err = n.Run(ctx)
	}()
	n.t.Cleanup(n.stop)
}

// stop ends the node as a signal would, and waits until it has ended.
func (n *testNode) stop() {
	n.t.Helper()
	n.cancel()
	select {
	case <-n.stopped:
		if n.err != nil {
			n.t.Errorf("Run: %v", n.err)
		}
	case <-time.After(testPatience):
		n.t.Error("the node does not stop")
	}
}

// await waits until what the node knows satisfies cond.
func (n *testNode) await(what string, cond func() bool) {
	n.t.Helper()
	timeout := time.After(testPatience)
	for {
		changed := n.Changed()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // conditions may act, and not all they look at tells of changes
		case <-timeout:
			n.t.Fatalf("in vain: %s; models %+v, peers %+v", what, n.Models(), n.Peers())
		}
	}
}

func (n *testNode) covered() bool { return n.Coverage(testModel()).Complete() }

func TestJoinByMultiaddr(t *testing.T) {
	a := startNode(t, Config{Offers: []Offer{gates()}})
	b := startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(0, 1)}})

	// Ready promises that the hello of the node joined is in.
	if got := b.Gates(testModel()); len(got) != 1 || got[0] != a.ID() {
		t.Errorf("right after Ready: gates %v, want %v", got, a.ID())
	}
	a.await("holders of what b holds", func() bool { return a.Coverage(testModel()).Held == 6 })
	for _, id := range experts(0, 1) {
		if got := a.Holders(id); len(got) != 1 || got[0] != b.ID() {
			t.Errorf("%v: holders %v, want %v", id, got, b.ID())
		}
	}
	c := a.Coverage(testModel())
	if len(c.Missing) != 3 || c.Missing[2].Layer != 2 || len(c.Missing[2].Experts) != 2 || c.Missing[2].Experts[0] != 2 {
		t.Errorf("missing: %v", c.Missing)
	}
	startNode(t, Config{Join: a.Addrs(), Offers: []Offer{holds(2, 3)}})
	a.await("coverage", a.covered)
}

func TestRunOnce(t *testing.T) {
	n := startNode(t, Config{})
	if err := n.Run(t.Context()); err == nil {
		t.Error("a second Run is allowed")
	}
	n.stop()
	if n.Addrs() != nil || n.live.Load() != nil {
		t.Error("the node looks alive after Run")
	}
	_, err := n.Call(t.Context(), n.ID(), routing.Ask{})
	if !errors.Is(err, expert.ErrUnreachable) {
		t.Errorf("a call after Run: %v", err)
	}
}

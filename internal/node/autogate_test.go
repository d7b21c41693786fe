package node

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/content"
	"github.com/moeswarm/moeswarm/gating/prompt"
	"github.com/moeswarm/moeswarm/internal/placement"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// TestTrunkOf: what peers say of gating, each by its standing, becomes what
// placement decides from.
func TestTrunkOf(t *testing.T) {
	man := tiny(t).Manifest()
	one := []expert.Slot{{}}
	claims := []swarm.Claim{
		{Peer: "a", Usable: true, Gates: true, MayGate: true, Held: one, Prompts: 3},
		{Peer: "b", Usable: true, WillGate: true, MayGate: true},
		{Peer: "c", Usable: true, WillGate: true, MayGate: true},
		{Peer: "paused", Usable: true, Paused: true, Gates: true, Held: one, Prompts: 9},
		{Peer: "lost", Gates: true, Held: one},
		{Peer: "bad", Usable: true, Gates: true, Held: one},
	}
	above := func(peer string) int {
		if placement.Rank(placement.PeerHash(peer), len(man.Experts)) > placement.Rank(placement.PeerHash("me"), len(man.Experts)) {
			return 1
		}
		return 0
	}
	got := trunkOf("me", man, claims, func(p routing.Peer) float64 { return map[bool]float64{true: 0, false: 1}[p == "bad"] })
	want := placement.Trunk{Bytes: man.Trunk.Size, Gates: 1, Waiting: 3, Above: above("a"), Intended: above("b") + above("c"), Holders: 2, Takers: 2}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestGateAuto: when the only gating node goes, one that is to gate when it is
// needed takes over and gives the same answer; with the model's file, and in
// parts. When it steps back, prompts go to whoever gates then.
func TestGateAuto(t *testing.T) {
	m := tiny(t)
	t.Run("file", func(t *testing.T) { takesOver(t, m, Model{Name: "tiny", Model: m}) })
	t.Run("parts", func(t *testing.T) {
		parts, err := expert.OpenParts("tiny", m.Manifest(), nil, expert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		takesOver(t, m, Model{Name: "tiny", Model: parts})
	})
}

func takesOver(t *testing.T, m *expert.Model, own Model) {
	store, err := content.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Keep(m.Manifest()); err != nil {
		t.Fatal(err)
	}
	holder := running(t, Config{Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(m.Manifest().IDs())}}})
	gating := Config{Join: holder.Addrs(), Models: []Model{{Name: "tiny", Model: m, Gate: true}}}
	// More than half of its memory is no reason while somebody else gates.
	own.GateAuto, own.Memory = true, m.Manifest().Trunk.Size*3/2
	heir := running(t, Config{Join: holder.Addrs(), Models: []Model{own}, Content: store})
	first, stop := stoppable(t, gating)
	untilGates(t, heir, m.ID(), first)
	want := answer(t, heir, m.ID(), first)
	if heir.gates.has(m.ID()) {
		t.Fatal("it gates although another does")
	}
	stop()
	if got := answer(t, heir, m.ID(), heir); !slices.Equal(got, want) {
		t.Errorf("after the gating node has gone: %v, want %v", got, want)
	}
	second, _ := stoppable(t, gating)
	untilGates(t, heir, m.ID(), second)
	untilGates(t, second, m.ID(), heir)
	heir.gatings[m.ID()].letGo(t.Context())
	if heir.gates.has(m.ID()) {
		t.Error("it stepped back, and gates")
	}
	if got := answer(t, heir, m.ID(), second); !slices.Equal(got, want) {
		t.Errorf("after it stepped back: %v, want %v", got, want)
	}
}

// stoppable starts a node that the test stops.
func stoppable(t *testing.T, cfg Config) (*Node, func()) {
	t.Helper()
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop := func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	<-n.Ready()
	return n, stop
}

// untilGates waits until n has heard that gate gates a model.
func untilGates(t *testing.T, n *Node, m expert.ModelID, gate *Node) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		changed := n.net.Changed()
		if slices.Contains(n.net.Gates(m), routing.Peer(gate.ID())) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("a gating node is not heard of")
		}
	}
}

// answer asks n until gate answers, and gives the tokens.
func answer(t *testing.T, n *Node, m expert.ModelID, gate *Node) []int32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		var tokens []int32
		var err error
		by := ""
		for c, e := range n.entry.Complete(ctx, prompt.Request{Model: m, Text: "to be", MaxTokens: 12}) {
			if err = e; c.HasToken {
				tokens, by = append(tokens, c.Token), c.Gate
			}
		}
		if err == nil && by == gate.ID() {
			return tokens
		}
		t.Logf("by %.12s: %v", by, err)
		select {
		case <-n.net.Changed():
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("no answer from the node that should gate")
	return nil
}

// TestSteady: a short queue is nothing, a long one counts, and is forgotten.
func TestSteady(t *testing.T) {
	var s steady
	now := time.Unix(1000, 0)
	step := func(waiting float64, d time.Duration) float64 {
		now = now.Add(d)
		return s.add(waiting, now)
	}
	if got := step(8, 0); got != 0 {
		t.Errorf("%v at once", got)
	}
	if got := step(8, 3*time.Second); got > 1 {
		t.Errorf("%v after three seconds", got)
	}
	if got := step(8, 5*time.Minute); got < 7 {
		t.Errorf("%v after five minutes", got)
	}
	if got := step(0, 5*time.Minute); got > 1 {
		t.Errorf("%v long after", got)
	}
}

// TestSettle: a newcomer listens for a while, and no longer once it has heard
// how the last gating node goes.
func TestSettle(t *testing.T) {
	const d = 3 * time.Second
	for name, c := range map[string]struct {
		gates []bool // what each piece of news says; they are 100 ms apart
		want  time.Duration
	}{
		"nobody":  {nil, d},
		"no gate": {[]bool{false, false}, d},
		"a gate":  {[]bool{false, true, true}, d},
		"goes":    {[]bool{false, true, false}, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var gated atomic.Bool
				var news atomic.Value
				news.Store(make(chan struct{}))
				go func() {
					for _, g := range c.gates {
						time.Sleep(100 * time.Millisecond)
						gated.Store(g)
						close(news.Swap(make(chan struct{})).(chan struct{}))
					}
				}()
				begun := time.Now()
				settle(t.Context(), d, func() <-chan struct{} { return news.Load().(chan struct{}) }, func() bool { return !gated.Load() })
				if took := time.Since(begun); took != c.want {
					t.Errorf("it listened for %v, want %v", took, c.want)
				}
			})
		})
	}
}

// TestGatingIsHandedOver: the last gating node that leaves waits until one that
// may gate has begun to, and lets it have the trunk; prompts find it at once.
func TestGatingIsHandedOver(t *testing.T) {
	m := tiny(t)
	parts, err := expert.OpenParts("tiny", m.Manifest(), nil, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Keep(m.Manifest()); err != nil {
		t.Fatal(err)
	}
	holder, _ := stoppable(t, Config{Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(m.Manifest().IDs())}}})
	last, stop := stoppable(t, Config{Join: holder.Addrs(), handOver: time.Minute, Models: []Model{{Name: "tiny", Model: m, Gate: true}}})
	// More than half of its memory is no reason while somebody else gates.
	heir := running(t, Config{Join: append(holder.Addrs(), last.Addrs()...), Content: store,
		Models: []Model{{Name: "tiny", Model: parts, GateAuto: true, Memory: m.Manifest().Trunk.Size * 3 / 2}}})
	untilGates(t, heir, m.ID(), last)
	for len(last.net.Claims(m.ID())) < 2 { // the heir's may come by gossip
		<-last.net.Changed()
	}
	if heir.gates.has(m.ID()) {
		t.Fatal("it gates although another does")
	}
	stop()
	if !heir.gates.has(m.ID()) {
		t.Error("the last gating node left without an heir")
	}
}

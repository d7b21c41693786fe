package audit

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/routing"
	"github.com/moeswarm/moeswarm/swarm"
)

// served is what a node on the network serves: a set, perhaps with a cheat in
// front. Challenges are answered by the same.
type served struct {
	*expert.Set
	answer apply
}

func (s served) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	return s.answer(ctx, in, calls)
}

// ApplyIn and Sum must not go past the cheat.
func (s served) ApplyIn(ctx context.Context, in expert.Batch, calls []expert.Call, _ *expert.Room) []expert.Result {
	return s.answer(ctx, in, calls)
}

func (s served) Sum(ctx context.Context, in expert.Batch, calls []expert.Call) (expert.Batch, error) {
	return expert.SumResults(in, calls, s.answer(ctx, in, calls))
}

// startNode runs a node on loopback until the test ends.
func startNode(t *testing.T, cfg swarm.Config) *swarm.Node {
	t.Helper()
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := swarm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return n
}

// overNetwork is a real swarm as a gating node sees it: answers pass through
// the inspector's check, and who was condemned is no holder any more.
type overNetwork struct {
	*swarm.Node
	inspector *Inspector

	mu  sync.Mutex
	out []routing.Peer
}

func (o *overNetwork) Call(ctx context.Context, to routing.Peer, a routing.Ask) (routing.Answer, error) {
	got, err := o.Node.Call(ctx, to, a)
	if err != nil {
		return got, err
	}
	c := routing.Checked{Peer: to, In: a.In, Calls: a.Calls, Results: got.Results}
	if a.Sum {
		c.Sum = &got.Sum
	}
	return got, o.inspector.Check(ctx, c)
}

func (o *overNetwork) Holders(id expert.ID) []routing.Peer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.Node.Holders(id)), func(p routing.Peer) bool { return slices.Contains(o.out, p) })
}

func (o *overNetwork) condemn(p routing.Peer, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out = append(o.out, p)
}

// TestLiarOnLoopback: three real nodes over libp2p, one of which lies from its
// 41st answer on, when it is trusted. It is found, its step is repaired, and
// the evidence bears its own signature.
func TestLiarOnLoopback(t *testing.T) {
	m := demotest.Model(t, "Q4_K_M")
	set := openSet(t, m)
	offer := swarm.Offer{Model: m.ID(), Name: "demo", Held: set.IDs(), Layers: slices.Repeat([]int{m.Experts()}, m.Layers())}
	cheat := Cheats(set, 2)[3] // another expert's result
	var mu sync.Mutex
	asked := 0
	liar := startNode(t, swarm.Config{Offers: []swarm.Offer{offer}, Serve: served{set, func(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
		mu.Lock()
		asked++
		lie := asked > 40
		mu.Unlock()
		if lie {
			return cheat.Apply(ctx, in, calls)
		}
		return set.Apply(ctx, in, calls)
	}}})
	honest := startNode(t, swarm.Config{Offers: []swarm.Offer{offer}, Serve: set})
	gate := &overNetwork{Node: startNode(t, swarm.Config{Join: slices.Concat(liar.Addrs(), honest.Addrs())})}
	dir := t.TempDir()
	condemned := make(chan struct{}, 16)
	var err error
	gate.inspector, err = New(Config{
		Weights: func(expert.ModelID) *expert.Set { return set }, Piece: pieceOf(m),
		Challenger: gate.Node, Directory: gate.Node, Caller: gate.Node,
		Condemn: func(p routing.Peer, why string) { gate.condemn(p, why); condemned <- struct{}{} },
		Always:  true, Evidence: dir, Seed: [32]byte{3},
	})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gate.inspector.Run(run) }()
	defer func() { stop(); <-done }()
	for {
		changed := gate.Changed()
		if len(gate.Holders(set.IDs()[0])) == 2 && len(gate.Holders(set.IDs()[len(set.IDs())-1])) == 2 {
			break
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatal("the holders are not known")
		}
	}
	router, err := routing.New(routing.Config{Directory: liarFirst{gate, liar.ID()}, Caller: gate})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decode(t, m, set, false, nil, prompt(m), 24)
	settle := func(ctx context.Context) error { return gate.inspector.Settle(ctx, m.ID()) }
	got, again := decode(t, m, router, false, settle, prompt(m), 24)
	if !slices.Equal(got, want) {
		t.Errorf("tokens %v, alone %v", got, want)
	}
	if len(gate.out) == 0 || gate.out[0] != liar.ID() || slices.Contains(gate.out, honest.ID()) || again == 0 {
		t.Fatalf("condemned %q, the liar is %s; %d steps again; %+v", gate.out, liar.ID(), again, gate.inspector.Stats())
	}
	var kept []Evidence
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); { // the signature comes later
		if kept, err = LoadEvidence(dir); err == nil && len(kept) > 0 && kept[0].Confesses() {
			break
		}
	}
	if len(kept) == 0 || !kept[0].Confesses() || kept[0].Peer != string(liar.ID()) {
		t.Fatalf("evidence: %+v, %v", kept, err)
	}
	if err := swarm.VerifyReceipt(receiptOf(t, kept[0])); err != nil {
		t.Errorf("the liar's signature: %v", err)
	}
	t.Logf("%d steps again; %+v", again, gate.inspector.Stats())
}

// liarFirst names the liar as the only holder of experts with an even index,
// until it is condemned, so that it is asked whatever the router prefers.
type liarFirst struct {
	*overNetwork
	liar routing.Peer
}

func (l liarFirst) Holders(id expert.ID) []routing.Peer {
	all := l.overNetwork.Holders(id)
	if id.Index%2 == 0 && slices.Contains(all, l.liar) {
		return []routing.Peer{l.liar}
	}
	return all
}

func receiptOf(t *testing.T, e Evidence) routing.Receipt {
	t.Helper()
	r, err := e.Signed()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/expert/synth"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/routing"
)

// tiny opens a small random model.
func tiny(t testing.TB) *expert.Model {
	t.Helper()
	cfg, err := synth.Named("tiny")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.WriteFile(context.Background(), path, cfg, nil); err != nil {
		t.Fatal(err)
	}
	m, err := expert.OpenModel(path, expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// running starts a node on loopback and stops it with the test.
func running(t testing.TB, cfg Config) *Node {
	t.Helper()
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := New(cfg)
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
	case <-time.After(20 * time.Second):
		t.Fatal("the node is not ready")
	}
	return n
}

// known waits until n knows a holder of every expert.
func known(t testing.TB, n *Node, ids []expert.ID) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := n.net.Changed()
		missing := 0
		for _, id := range ids {
			if len(n.net.Holders(id)) == 0 {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d experts have no known holder", missing)
		}
	}
}

// TestLoopbackConforms runs the suite of every expert.Applier over real
// libp2p: two holders, and a node that holds nothing and asks them. A node that
// gates the model sends rows as codes, one that does not as floats.
func TestLoopbackConforms(t *testing.T) {
	m := tiny(t)
	ids := m.Manifest().IDs()
	layer := func(l int) []expert.ID { return ids[l*m.Experts() : (l+1)*m.Experts()] }
	held := layer(1)[:7]
	a := running(t, Config{Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(held[:4])}}})
	running(t, Config{Join: a.Addrs(), Models: []Model{{Name: "tiny", Model: m, Hold: expert.SlotsOf(held[3:])}}})
	local, err := expert.NewSet(m, held, ggml.NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, models := range map[string][]Model{"floats": nil, "codes": {{Name: "tiny", Model: m, Gate: true}}} {
		t.Run(name, func(t *testing.T) {
			asker := running(t, Config{Join: a.Addrs(), Models: models, Routing: routing.Policy{MissingWait: 50 * time.Millisecond}})
			asker.net.LookUp(held) // a node that gates nothing does not follow a model by itself
			known(t, asker, held)
			experttest.Run(t, func(t *testing.T) (expert.Applier, experttest.Fixture) {
				return asker.router, experttest.Fixture{
					Dim: m.Dim(), Held: held, Unheld: layer(1)[7],
					Reference: local, // to the last bit
				}
			})
		})
	}
}

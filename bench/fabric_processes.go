package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/delayrelay"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// fronts are the relays in front of the nodes of a local swarm. Nodes announce
// only their relay, so every connection between two of them passes one.
type fronts struct {
	link simswarm.Link
	seed uint64

	ctx  context.Context
	stop context.CancelFunc
	run  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func newFronts(l simswarm.Link, seed uint64) *fronts {
	f := &fronts{link: l, seed: seed}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// front is what localswarm wants.
func (f *fronts) front(listen string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seed++
	r, err := delayrelay.Listen(delayrelay.Config{Target: listen, Link: f.link, Seed: f.seed})
	if err != nil {
		return "", err
	}
	f.run.Go(func() {
		if err := r.Run(f.ctx); err != nil {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
		}
	})
	_, port, err := net.SplitHostPort(r.Addr())
	return "/ip4/127.0.0.1/tcp/" + port, err
}

func (f *fronts) close() error {
	f.stop()
	f.run.Wait()
	return errors.Join(f.errs...)
}

// wanProcesses is the wan scenario with real nodes. The gating node holds
// nothing; it is asked over HTTP, without delay, through another node, with it.
func wanProcesses(ctx context.Context, o Options) (Metrics, error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	shape := m.Shape()
	var hold []string
	for _, held := range spread(m.Manifest().IDs(), wanHolders, wanReplicas) {
		hold = append(hold, expert.FormatSpec(expert.SlotsOf(held), shape.SparseLayers, shape.Experts))
	}
	out := Metrics{"holders": wanHolders, "replicas": wanReplicas, "layers": float64(m.Layers()), "new_tokens": float64(o.NewTokens)}
	left := leaks()
	prompt, _, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return nil, err
	}
	want, err := localText(ctx, m, prompt, o)
	if err != nil {
		return nil, err
	}
	networks := simswarm.Networks()
	if o.Quick {
		networks = networks[2:3]
	}
	for _, n := range networks {
		r, err := processRun(ctx, o, path, prompt, hold, n)
		if err != nil {
			return nil, fmt.Errorf("RTT %s: %w", n.Name, err)
		}
		if len(r.tokens) == 0 || !slices.Equal(r.tokens, want[:min(len(want), len(r.tokens))]) {
			return nil, fmt.Errorf("RTT %s: tokens %v differ from the local %v", n.Name, r.tokens, want)
		}
		name := "rtt_" + n.Name + "_"
		out[name+"tokens_per_s"] = r.rate
		out[name+"round_p50_ms"], out[name+"round_p99_ms"] = r.routing.RoundP50ms, r.routing.RoundP99ms
		wanPublished()[n.Name].into(out, name, o)
		o.Progress("RTT %-6s %6.2f tokens/s, layer round p50 %.2f ms, p99 %.2f ms", n.Name, r.rate, r.routing.RoundP50ms, r.routing.RoundP99ms)
	}
	return out, checkLeaks(left, out)
}

// processResult is one run of real nodes.
type processResult struct {
	tokens  []int32
	rate    float64
	routing node.RoutingView
}

func processRun(ctx context.Context, o Options, path, prompt string, hold []string, n simswarm.Network) (r processResult, err error) {
	f := newFronts(n.Link, o.Seed)
	defer func() { err = errors.Join(err, f.close()) }()
	s, err := localswarm.Start(ctx, localswarm.Config{Exec: o.Exec, Model: path, Hold: hold, Bare: 1, Threads: max(1, o.Threads),
		Front: f.front, Log: o.Log, Progress: func(s string) { o.Progress("%s", s) }})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	entry, err := client.New(s.Entry.URL)
	if err != nil {
		return r, err
	}
	gate, err := client.New(s.Nodes[len(s.Nodes)-1].URL)
	if err != nil {
		return r, err
	}
	if _, err := askFor(ctx, entry, prompt, 4, o.Seed); err != nil { // once unmeasured
		return r, err
	}
	a, err := askFor(ctx, entry, prompt, o.NewTokens, o.Seed)
	if err != nil {
		return r, err
	}
	var view node.View
	if err := gate.Get(ctx, "/v1/swarm", &view); err != nil {
		return r, err
	}
	r.tokens, r.rate, r.routing = a.Tokens, a.DecodeRate(), view.Routing
	return r, nil
}

// localText is the greedy answer of one machine to a text.
func localText(ctx context.Context, m *expert.Model, text string, o Options) ([]int32, error) {
	t, err := tokenizer.New(m.File())
	if err != nil {
		return nil, err
	}
	ids, err := t.Encode(text, true)
	if err != nil {
		return nil, err
	}
	answers, err := localAnswers(ctx, m, ggml.NewPool(0), [][]int32{ids}, o.NewTokens)
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

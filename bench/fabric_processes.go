package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	link func(node int) simswarm.Link // of the way to a node; -1: the entry
	// asks is a node that others cannot reach, so that every connection of it is
	// one that it began, over the way to the other; below -1: there is none.
	asks int
	seed uint64

	ctx  context.Context
	stop context.CancelFunc
	run  sync.WaitGroup
	mu   sync.Mutex
	errs []error
	at   map[int]*delayrelay.Relay // by node
}

func newFronts(link func(int) simswarm.Link, seed uint64) *fronts {
	f := &fronts{link: link, asks: -2, seed: seed, at: map[int]*delayrelay.Relay{}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// nobodyListens is an address at which every dial is refused.
const nobodyListens = "/ip4/127.0.0.1/tcp/9"

// front is what localswarm wants.
func (f *fronts) front(node int, listen string) (string, error) {
	if node == f.asks {
		return nobodyListens, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seed++
	r, err := delayrelay.Listen(delayrelay.Config{Target: listen, Link: f.link(node), Seed: f.seed, Sleep: exactSleep})
	if err != nil {
		return "", err
	}
	f.at[node] = r
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

// place is where a node in this process listens and what it announces: a front, or
// where it listens.
func (f *fronts) place(node int, fronted bool) (listen, announce []string, err error) {
	if !fronted {
		return []string{"/ip4/127.0.0.1/tcp/0"}, nil, nil
	}
	addr, err := localswarm.FreePort()
	if err != nil {
		return nil, nil, err
	}
	at, err := f.front(node, addr.String())
	return []string{fmt.Sprintf("/ip4/%s/tcp/%d", addr.IP, addr.Port)}, []string{at}, err
}

// relink gives the way to a node another link, that of standing connections
// too.
func (f *fronts) relink(node int, l simswarm.Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[node].Relink(l)
}

func (f *fronts) close() error {
	f.stop()
	f.run.Wait()
	return errors.Join(f.errs...)
}

// processes is a swarm of real nodes: the holders of a cast, a gating node that
// holds nothing, and an entry, where prompts come in over HTTP without delay.
type processes struct {
	swarm       *localswarm.Swarm
	entry, gate *client.Client // entry is where prompts go
	fronts      *fronts
}

// startProcesses starts them. Where the ways to holders differ, it is always the
// gating node that connects to them, and prompts go straight to it. fault gives a
// holder's misbehaviour, as simswarm.ParseFault reads it, or "".
func startProcesses(ctx context.Context, o Options, path string, m *expert.Model, cast simswarm.Cast, fault func(holder int) string, args ...string) (_ *processes, err error) {
	p := &processes{fronts: newFronts(func(node int) simswarm.Link {
		if node < 0 || node >= cast.Holders {
			return cast.Link
		}
		return cast.LinkOf(node)
	}, o.Seed)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if cast.Links != nil {
		p.fronts.asks = cast.Holders // the gating node comes after the holders
	}
	cfg := localswarm.Config{Exec: o.Exec, Model: path, Bare: 1, Threads: max(1, o.Threads), Front: p.fronts.front, Args: args,
		Log: o.Log, Progress: func(s string) { o.Progress("%s", s) }}
	shape := m.Shape()
	for _, held := range cast.Shares(m.Manifest().IDs()) {
		cfg.Hold = append(cfg.Hold, expert.FormatSpec(expert.SlotsOf(held), shape.SparseLayers, shape.Experts))
	}
	cfg.As = func(node int) []string {
		if node < cast.Holders && fault != nil && fault(node) != "" {
			return []string{"bench", "faulty-node", fault(node)}
		}
		return []string{"node"}
	}
	if p.swarm, err = localswarm.Start(ctx, cfg); err != nil {
		return p, err
	}
	if p.entry, err = client.New(p.swarm.Entry.URL); err != nil {
		return p, err
	}
	p.gate, err = client.New(p.swarm.Nodes[len(p.swarm.Nodes)-1].URL)
	if cast.Links != nil {
		p.entry = p.gate // which the entry cannot reach
	}
	return p, err
}

// view is the swarm as the gating node sees it.
func (p *processes) view(ctx context.Context) (v node.View, err error) {
	return v, p.gate.Get(ctx, "/v1/swarm", &v)
}

func (p *processes) close() error {
	var err error
	if p.swarm != nil {
		err = p.swarm.Close()
	}
	return errors.Join(err, p.fronts.close())
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

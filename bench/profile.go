package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/node"
)

// profile says where the time of one decode step goes: first with all experts
// in one process, then with nodes that share them out over real libp2p on
// loopback. All nodes are in this process, so that one profile sees both ends
// of a message. Beside it stands the floor: how long the memory takes to give
// the weights that a step uses, to as many threads.
func profile(ctx context.Context, o Options) (Metrics, error) {
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	pool := ggml.NewPool(o.Threads)
	metrics := Metrics{"threads": float64(pool.Workers()), "nodes": float64(o.Nodes), "new_tokens": float64(o.NewTokens)}
	bandwidth := readingRate(m, pool)
	bytes := activeBytes(m)
	metrics["active_weights_mb"] = float64(bytes) / 1e6
	metrics["memory_gb_per_s"] = bandwidth / 1e9
	metrics["floor_us"] = float64(bytes) / bandwidth * 1e6

	o.Progress("decoding in one process")
	p, err := o.profileLocal(ctx, m, pool)
	if err != nil {
		return nil, err
	}
	p.report(metrics, "local_", pool.Workers())
	o.Progress("decoding with %d nodes", o.Nodes)
	if p, err = o.profileNodes(ctx, m, pool.Workers()); err != nil {
		return nil, err
	}
	p.report(metrics, "loopback_", pool.Workers())
	return metrics, nil
}

// profileLocal decodes with trunk and experts alone.
func (o Options) profileLocal(ctx context.Context, m *expert.Model, pool *ggml.Pool) (split, error) {
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		return split{}, err
	}
	layer, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		return split{}, err
	}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: layer, Pool: pool})
	if err != nil {
		return split{}, err
	}
	_, ids, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return split{}, err
	}
	next, err := prefill(ctx, tr, 0, ids)
	if err != nil {
		return split{}, err
	}
	return profiled(func(start func() error) (int, error) {
		if err := start(); err != nil {
			return 0, err
		}
		for i := range o.NewTokens {
			out, err := tr.Forward(ctx, trunk.Step{Tokens: []int32{next}, Positions: []int{len(ids) + i}, Slots: []int{0}, Logits: []int{0}})
			if err != nil {
				return 0, err
			}
			next = argmax(out.Row(0))
		}
		return o.NewTokens, nil
	})
}

// profileNodes decodes through a swarm in this process, from its first token
// on.
func (o Options) profileNodes(ctx context.Context, m *expert.Model, threads int) (_ split, err error) {
	nodes, stop, err := o.nodesHere(ctx, m, threads, nil)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return split{}, err
	}
	c, err := client.New(nodes[0].URL())
	if err != nil {
		return split{}, err
	}
	prompt, _, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return split{}, err
	}
	if _, err := askFirst(ctx, c, m, o); err != nil {
		return split{}, err
	}
	return profiled(func(start func() error) (int, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var once sync.Once
		before := 0 // tokens until the first text, which starts the profile
		a, err := c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: o.NewTokens, Seed: &o.Seed}, func(string) {
			once.Do(func() {
				before++
				if err := start(); err != nil {
					cancel(err)
				}
			})
		})
		return len(a.Tokens) - before, errors.Join(err, context.Cause(ctx))
	})
}

// nodesHere starts the nodes of a swarm and waits until the first, which
// gates, can reach every expert. tune, if not nil, changes what each is made of.
// stop ends them all; it is never nil.
func (o Options) nodesHere(ctx context.Context, m *expert.Model, threads int, tune func(i int, cfg *node.Config)) (nodes []*node.Node, stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	errs := make([]error, o.Nodes)
	stop = func() error {
		cancel()
		running.Wait()
		return errors.Join(errs...)
	}
	var join []string
	for i, share := range m.Manifest().Shares(o.Nodes) {
		cfg := node.Config{
			Version: "bench", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Join: join, Threads: threads,
			Models: []node.Model{{Name: "profile", Model: m, Hold: share, Gate: i == 0}},
		}
		if i == 0 {
			cfg.HTTP = "127.0.0.1:0"
		}
		if tune != nil {
			tune(i, &cfg)
		}
		n, err := node.New(cfg)
		if err != nil {
			return nodes, stop, fmt.Errorf("node %d: %w", i, err)
		}
		running.Go(func() { errs[i] = n.Run(ctx) })
		nodes = append(nodes, n)
		select {
		case <-n.Ready():
		case <-ctx.Done():
			return nodes, stop, ctx.Err()
		}
		if i == 0 {
			join = n.Addrs()[:1]
		}
	}
	return nodes, stop, nil
}

// activeBytes is how many bytes of weights a step of one row uses: the trunk
// but for the embedding, of which it reads a row, and top-k experts a layer.
func activeBytes(m *expert.Model) int64 {
	var sum int64
	_, head := m.Tensor("output.weight") // else the embedding is the head too
	manifest := m.Manifest()
	sum += manifest.Trunk.Size
	if embedding, ok := m.Tensor("token_embd.weight"); ok && head {
		sum -= int64(len(embedding.Data))
	}
	for _, p := range manifest.Experts {
		sum += p.Size * int64(m.TopK()) / int64(m.Experts())
	}
	return sum
}

// readingRate is how many bytes of the model's weights all workers of the pool
// together read in a second, the best of some passes over all of them.
func readingRate(m *expert.Model, pool *ggml.Pool) float64 {
	const piece, passes = 1 << 20, 5
	var pieces [][]byte
	total := 0
	for _, id := range m.Manifest().IDs() {
		w, err := m.Weights(id)
		if err != nil {
			continue
		}
		for _, t := range w.Tensors() {
			for b := t.Data; len(b) > 0; b = b[min(piece, len(b)):] {
				pieces = append(pieces, b[:min(piece, len(b))])
			}
			total += len(t.Data)
		}
	}
	best := time.Duration(1<<63 - 1)
	for range passes {
		start := time.Now()
		pool.Do(len(pieces), func(_ *ggml.Scratch, i int) { ggml.Read(pieces[i]) })
		best = min(best, time.Since(start))
	}
	return float64(total) / best.Seconds()
}

// emptyCall is what a call into C takes that does nothing.
func emptyCall() time.Duration {
	const n = 100_000
	start := time.Now()
	for range n {
		ggml.Multiplies(0)
	}
	return time.Since(start) / n
}

// cgoCalls counts the calls into C so far.
func cgoCalls() int64 { return runtime.NumCgoCall() }

func selfTime() time.Duration { return processorTime(os.Getpid()) }

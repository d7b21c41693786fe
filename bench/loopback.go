package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// loopback times a swarm of real processes, asked over HTTP at a node that
// holds nothing. All processes share this machine's processors, like the one
// process of local.
func loopback(ctx context.Context, o Options) (_ Metrics, err error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cfg := localswarm.Config{Exec: o.Exec, Model: path, Threads: o.Threads, Log: o.Log, Progress: func(s string) { o.Progress("%s", s) }}
	shape := m.Shape()
	for _, share := range m.Manifest().Shares(o.Nodes) {
		cfg.Hold = append(cfg.Hold, expert.FormatSpec(share, shape.SparseLayers, shape.Experts))
	}
	s, err := localswarm.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	entry, err := client.New(s.Entry.URL)
	if err != nil {
		return nil, err
	}
	gate, err := client.New(s.Nodes[0].URL)
	if err != nil {
		return nil, err
	}
	prompt, _, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return nil, err
	}
	if _, err := askFor(ctx, entry, prompt, 2, o.Seed); err != nil { // once unmeasured
		return nil, err
	}
	var before, after node.View
	if err := gate.Get(ctx, "/v1/swarm", &before); err != nil {
		return nil, err
	}
	a, err := askFor(ctx, entry, prompt, o.NewTokens, o.Seed)
	if err != nil {
		return nil, err
	}
	if err := gate.Get(ctx, "/v1/swarm", &after); err != nil {
		return nil, err
	}
	bytes := after.Routing.BytesIn + after.Routing.BytesOut - before.Routing.BytesIn - before.Routing.BytesOut
	metrics := Metrics{
		"nodes":                   float64(len(s.Nodes)),
		"threads":                 float64(max(o.Threads, 0)),
		"processors":              float64(runtime.GOMAXPROCS(0)),
		"prompt_tokens":           float64(a.PromptTokens),
		"new_tokens":              float64(len(a.Tokens)),
		"prefill_tokens_per_s":    float64(a.PromptTokens) / a.FirstToken.Seconds(),
		"decode_tokens_per_s":     a.DecodeRate(),
		"first_token_ms":          float64(a.FirstToken.Microseconds()) / 1000,
		"layer_round_p50_ms":      after.Routing.RoundP50ms,
		"layer_round_p99_ms":      after.Routing.RoundP99ms,
		"network_bytes_per_token": float64(bytes) / float64(a.PromptTokens+len(a.Tokens)),
		"failovers":               float64(after.Routing.Failovers),
	}
	if private, ok := privateMemory(s); ok {
		metrics["holder_private_memory_max_mb"] = private
	}
	return metrics, nil
}

// askFor completes greedily until there are n tokens.
func askFor(ctx context.Context, c *client.Client, prompt string, n int, seed uint64) (client.Answer, error) {
	a, err := c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: n, Seed: &seed}, nil)
	if err == nil && len(a.Tokens) < 2 {
		err = fmt.Errorf("the answer ended after %d tokens; try another --seed", len(a.Tokens))
	}
	return a, err
}

// privateMemory is the largest resident memory of a holder that is its own,
// without the pages of the model file, in MB. Only Linux tells.
func privateMemory(s *localswarm.Swarm) (mb float64, ok bool) {
	var all []float64
	for _, n := range s.Nodes {
		if v, err := residentPrivate(n.Pid()); err == nil {
			all = append(all, float64(v)/1e6)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return slices.Max(all), true
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// failuresProcesses is the failures scenario with real nodes: holders that fail
// calls, and a holder process killed every five seconds and started again.
func failuresProcesses(ctx context.Context, o Options) (Metrics, error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cast := simswarm.Failures()
	out := Metrics{"seconds": float64(o.NewTokens), "holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "rtt_ms": cast.Link.RTT.Seconds() * 1000}
	all := []*failing{
		{name: "undisturbed"},
		{name: "p_0", kills: true},
		{name: "p_1e-3", p: 1e-3, kills: true, rate: 73},
		{name: "p_1e-2", p: 1e-2, kills: true, rate: 20},
	}
	length := time.Duration(o.NewTokens) * time.Second
	if o.Quick {
		all = []*failing{all[1]}
		cast.KillEvery, cast.Down = time.Second, 500*time.Millisecond
	}
	prompt, _, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return nil, err
	}
	answered := o
	answered.NewTokens = 32
	want, err := localText(ctx, m, prompt, answered)
	if err != nil {
		return nil, err
	}
	left := leaks()
	for _, f := range all {
		if err := f.runProcesses(ctx, o, path, m, cast, prompt, want, length); err != nil {
			return out, fmt.Errorf("%s: %w", f.name, err)
		}
		rate := float64(f.tokens) / f.took.Seconds()
		out[f.name+"_tokens_per_s"], out[f.name+"_failovers"] = rate, float64(f.failover)
		if base := out["undisturbed_tokens_per_s"]; f.name != "undisturbed" && base > 0 {
			out[f.name+"_loss_pct"] = 100 * (1 - rate/base)
		}
		if f.rate > 0 {
			out[f.name+"_published_loss_pct"] = 100 - f.rate
		}
		o.Progress("%-13s %.1f tokens/s, %d failovers", f.name, rate, f.failover)
	}
	return out, checkLeaks(left, out)
}

// runProcesses answers prompts for so long, in a new swarm.
func (f *failing) runProcesses(ctx context.Context, o Options, path string, m *expert.Model, cast simswarm.Cast, prompt string, want []int32, length time.Duration) (err error) {
	p, err := startProcesses(ctx, o, path, m, cast, func(i int) string {
		if f.p == 0 {
			return ""
		}
		return fmt.Sprintf("failing:%g:%d", f.p, o.Seed+uint64(i))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := askFor(ctx, p.entry, prompt, 4, o.Seed); err != nil {
		return err
	}
	churn, still := context.WithCancel(ctx)
	killing := make(chan error, 1)
	go func() { killing <- f.kill(churn, ctx, p, cast, o.Seed) }()
	began := time.Now()
	for time.Since(began) < length {
		a, err := askFor(ctx, p.entry, prompt, len(want), o.Seed)
		if err == nil && !slices.Equal(a.Tokens, want[:min(len(want), len(a.Tokens))]) {
			err = fmt.Errorf("tokens %v differ from the local %v", a.Tokens, want)
		}
		if err != nil {
			still()
			return errors.Join(err, <-killing)
		}
		f.tokens += len(a.Tokens)
	}
	f.took = time.Since(began)
	still()
	if err := <-killing; err != nil {
		return err
	}
	v, err := p.view(ctx)
	if err != nil {
		return err
	}
	f.failover = v.Routing.Failovers
	return withinBudget(v.Routing)
}

// kill ends holder processes and starts them again, as the cast's schedule has
// it, until churn ends. A process that is down then is started once more.
func (f *failing) kill(churn, ctx context.Context, p *processes, cast simswarm.Cast, seed uint64) error {
	if !f.kills {
		return nil
	}
	var names []routing.Peer
	for i := range cast.Holders {
		names = append(names, cast.Name(i))
	}
	began := time.Now()
	for _, e := range simswarm.Kills(seed, names, cast.KillEvery, cast.Down, 10*time.Minute) {
		i := slices.Index(names, e.Peer)
		wait := time.NewTimer(time.Until(began.Add(e.At)))
		select {
		case <-wait.C:
		case <-churn.Done():
			wait.Stop()
			if !e.Alive {
				return nil
			}
		}
		if !e.Alive {
			p.swarm.Nodes[i].Kill()
			continue
		}
		if err := p.swarm.Restart(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

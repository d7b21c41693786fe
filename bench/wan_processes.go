package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// wanProcesses is the wan scenario with real nodes.
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
	cast := simswarm.WAN(simswarm.Network{})
	out := Metrics{"holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "layers": float64(m.Layers()), "new_tokens": float64(o.NewTokens)}
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
		r, err := wanProcessRun(ctx, o, path, m, prompt, n)
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
		if err := withinBudget(r.routing); err != nil {
			return out, fmt.Errorf("RTT %s: %w", n.Name, err)
		}
	}
	return out, checkLeaks(left, out)
}

// processResult is one run of real nodes.
type processResult struct {
	tokens  []int32
	rate    float64
	routing node.RoutingView
}

func wanProcessRun(ctx context.Context, o Options, path string, m *expert.Model, prompt string, n simswarm.Network) (r processResult, err error) {
	p, err := startProcesses(ctx, o, path, m, simswarm.WAN(n), nil)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := askFor(ctx, p.entry, prompt, 4, o.Seed); err != nil { // once unmeasured
		return r, err
	}
	a, err := askFor(ctx, p.entry, prompt, o.NewTokens, o.Seed)
	if err != nil {
		return r, err
	}
	view, err := p.view(ctx)
	r.tokens, r.rate, r.routing = a.Tokens, a.DecodeRate(), view.Routing
	return r, err
}

// withinBudget refuses more duplicates than their share of the calls.
func withinBudget(r node.RoutingView) error {
	if share := float64(r.HedgedCalls) / float64(max(1, r.RemoteCalls)); share > duplicateBudget {
		return fmt.Errorf("%.1f %% of calls were duplicated, the budget is %.0f %%", 100*share, 100*duplicateBudget)
	}
	return nil
}

package bench

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// wanProcesses is the wan scenario with real nodes.
func wanProcesses(ctx context.Context, o Options) (Metrics, error) {
	networks := simswarm.Networks()
	if o.Quick {
		networks = networks[2:3]
	}
	return o.onStage(ctx, simswarm.WAN(simswarm.Network{}), o.NewTokens, func(s *stage) error {
		s.out["layers"], s.out["new_tokens"] = float64(s.model.Layers()), float64(o.NewTokens)
		for _, n := range networks {
			s.cast = simswarm.WAN(n)
			if err := s.swarm(ctx, nil, func(p *processes) error { return wanProcessRun(ctx, s, p, n.Name) }); err != nil {
				return fmt.Errorf("RTT %s: %w", n.Name, err)
			}
		}
		return nil
	})
}

func wanProcessRun(ctx context.Context, s *stage, p *processes, network string) error {
	if _, err := s.answer(ctx, p, 4); err != nil { // once unmeasured
		return err
	}
	a, err := s.answer(ctx, p, s.o.NewTokens)
	if err != nil {
		return err
	}
	v, err := p.view(ctx)
	if err != nil {
		return err
	}
	name := "rtt_" + network + "_"
	s.out[name+"tokens_per_s"] = a.DecodeRate()
	s.out[name+"round_p50_ms"], s.out[name+"round_p99_ms"] = v.Routing.RoundP50ms, v.Routing.RoundP99ms
	wanPublished()[network].into(s.out, name, s.o)
	s.o.Progress("RTT %-6s %6.2f tokens/s, layer round p50 %.2f ms, p99 %.2f ms", network, a.DecodeRate(), v.Routing.RoundP50ms, v.Routing.RoundP99ms)
	return withinBudget(v.Routing)
}

// withinBudget refuses more duplicates than their share of the calls.
func withinBudget(r node.RoutingView) error {
	if share := duplicateShare(r); share > duplicateBudget {
		return fmt.Errorf("%.1f %% of calls were duplicated, the budget is %.0f %%", 100*share, 100*duplicateBudget)
	}
	return nil
}

func duplicateShare(r node.RoutingView) float64 {
	return float64(r.HedgedCalls) / float64(max(1, r.RemoteCalls))
}

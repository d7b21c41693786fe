package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// staleWarm is how many steps are made before the swap: both replicas are known
// by then, as idle peers are probed.
const staleWarm = 600

// staleProcesses is the stale-map scenario with real nodes. The relays in front
// of the two holders change their delay under standing connections. A call is a
// step of a model of one layer, as the user sees it: a round, trunk and HTTP.
func staleProcesses(ctx context.Context, o Options) (Metrics, error) {
	return o.onStage(ctx, simswarm.StaleMap(), quickly(&o, 24, 64), func(s *stage) error {
		s.out["calls"], s.out["published_p50_ms"] = float64(o.NewTokens), 51.1
		for _, mode := range hedging() {
			err := s.swarm(ctx, nil, func(p *processes) error { return staleProcessRun(ctx, s, p, "hedge_"+mode+"_") }, "--hedge", mode, "--drafts", "off")
			if err != nil {
				return fmt.Errorf("hedging %s: %w", mode, err)
			}
		}
		return nil
	})
}

func staleProcessRun(ctx context.Context, s *stage, p *processes, name string) error {
	before, err := s.steps(ctx, p, quickly(&s.o, 48, staleWarm))
	if err != nil {
		return err
	}
	for i, l := range simswarm.StaleSwapped() {
		p.fronts.relink(i, l)
	}
	took, err := s.steps(ctx, p, s.o.NewTokens)
	if err != nil {
		return err
	}
	v, err := p.view(ctx)
	if err != nil {
		return err
	}
	if s.out[name+"before_p50_ms"] = quantile(before, 0.5); s.out[name+"before_p50_ms"] < ms(simswarm.StaleMap().Links[0].RTT) {
		return fmt.Errorf("steps of %.2f ms before the swap: they do not go over the relays", s.out[name+"before_p50_ms"])
	}
	staleInto(s.out, name, took)
	s.out[name+"duplicates_pct"] = 100 * duplicateShare(v.Routing)
	s.o.Progress("%s p50 %.2f ms before the swap, %.2f ms after it, recovered after %.0f calls, %.0f slow of %d", name,
		s.out[name+"before_p50_ms"], s.out[name+"p50_ms"], s.out[name+"recovered_after_calls"], s.out[name+"slow_calls"], len(took))
	return withinBudget(v.Routing)
}

// staleInto notes how the calls after the swap went.
func staleInto(out Metrics, name string, took []time.Duration) {
	good := func(d time.Duration) bool { return d <= staleGood }
	slow := 0
	for _, d := range took {
		if !good(d) {
			slow++
		}
	}
	out[name+"recovered_after_calls"], out[name+"slow_calls"] = float64(slices.IndexFunc(took, good)), float64(slow)
	out[name+"p50_ms"], out[name+"p99_ms"] = quantile(slices.Clone(took), 0.5), quantile(slices.Clone(took), 0.99)
}

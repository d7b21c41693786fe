package bench

import (
	"context"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// slowProcesses is the slow-replica scenario with real nodes: three holder
// processes with all experts, whose calls take slowWork longer than they would;
// the first is ten times slower in spells, or at single asks. A round is a step
// of a model of one layer, as the user sees it, trunk and HTTP included.
func slowProcesses(ctx context.Context, o Options) (Metrics, error) {
	return o.onStage(ctx, simswarm.SlowReplica(), quickly(&o, 24, 64), func(s *stage) error {
		s.out["rounds"], s.out["slow_factor"] = float64(o.NewTokens), slowFactor
		for _, c := range []struct{ name, fault string }{
			{"healthy", ""}, {"spells", fmt.Sprintf("+spells:1:%d", o.Seed)}, {"single", fmt.Sprintf("+slow-seldom:%g:%d", slowShare, o.Seed)},
		} {
			if o.Quick && c.name != "spells" {
				continue
			}
			for _, mode := range hedging() {
				fault := func(holder int) string {
					if holder > 0 {
						return "work=" + slowWork.String()
					}
					return "work=" + slowWork.String() + c.fault
				}
				err := s.swarm(ctx, fault, func(p *processes) error { return slowProcessRun(ctx, s, p, c.name+"_hedge_"+mode+"_") }, "--hedge", mode, "--drafts", "off")
				if err != nil {
					return fmt.Errorf("%s, hedging %s: %w", c.name, mode, err)
				}
			}
		}
		return nil
	})
}

func slowProcessRun(ctx context.Context, s *stage, p *processes, name string) error {
	if _, err := s.steps(ctx, p, slowWarm); err != nil {
		return err
	}
	took, err := s.steps(ctx, p, s.o.NewTokens)
	if err != nil {
		return err
	}
	v, err := p.view(ctx)
	if err != nil {
		return err
	}
	s.out[name+"round_p50_ms"], s.out[name+"round_p99_ms"] = quantile(took, 0.5), quantile(took, 0.99)
	s.out[name+"p99_over_p50"] = s.out[name+"round_p99_ms"] / s.out[name+"round_p50_ms"]
	s.out[name+"duplicates_pct"] = 100 * duplicateShare(v.Routing)
	s.o.Progress("%s p50 %.2f ms, p99 %.2f ms, %.2f %% duplicates", name, s.out[name+"round_p50_ms"], s.out[name+"round_p99_ms"], s.out[name+"duplicates_pct"])
	return withinBudget(v.Routing)
}

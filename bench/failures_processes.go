package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// failuresProcesses is the failures scenario with real nodes: holders that fail
// calls, and a holder process killed every five seconds and started again.
func failuresProcesses(ctx context.Context, o Options) (Metrics, error) {
	cast := simswarm.Failures()
	all := []*failing{
		{name: "undisturbed"},
		{name: "p_0", kills: true},
		{name: "p_1e-3", p: 1e-3, kills: true, rate: 73},
		{name: "p_1e-2", p: 1e-2, kills: true, rate: 20},
	}
	if o.Quick {
		all = []*failing{all[1]}
		cast.KillEvery, cast.Down = time.Second, 500*time.Millisecond
	}
	return o.onStage(ctx, cast, 32, func(s *stage) error {
		s.out["seconds"], s.out["rtt_ms"] = float64(o.NewTokens), ms(cast.Link.RTT)
		for _, f := range all {
			fault := func(i int) string {
				if f.p == 0 {
					return ""
				}
				return fmt.Sprintf("failing:%g:%d", f.p, o.Seed+uint64(i))
			}
			if err := s.swarm(ctx, fault, func(p *processes) error { return f.runProcesses(ctx, s, p) }); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			rate := float64(f.tokens) / f.took.Seconds()
			s.out[f.name+"_tokens_per_s"], s.out[f.name+"_failovers"] = rate, float64(f.failover)
			if base := s.out["undisturbed_tokens_per_s"]; f.name != "undisturbed" && base > 0 {
				s.out[f.name+"_loss_pct"] = 100 * (1 - rate/base)
			}
			if f.rate > 0 {
				s.out[f.name+"_published_loss_pct"] = 100 - f.rate
			}
			o.Progress("%-13s %.1f tokens/s, %d failovers", f.name, rate, f.failover)
		}
		return nil
	})
}

// runProcesses answers prompts for so long, in a new swarm.
func (f *failing) runProcesses(ctx context.Context, s *stage, p *processes) error {
	if _, err := s.answer(ctx, p, 4); err != nil {
		return err
	}
	churn, still := context.WithCancel(ctx)
	killing := make(chan error, 1)
	go func() { killing <- f.kill(churn, ctx, p, s.cast, s.o.Seed) }()
	began := time.Now()
	var err error
	for err == nil && time.Since(began) < time.Duration(s.o.NewTokens)*time.Second {
		a, aerr := s.answer(ctx, p, len(s.want))
		err = aerr
		f.tokens += len(a.Tokens)
	}
	f.took = time.Since(began)
	still()
	if err := errors.Join(err, <-killing); err != nil {
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

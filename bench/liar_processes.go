package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// liarProcesses is the liar scenario with real nodes: one of eight holder
// processes gives wrong results, over libp2p, behind relays. The gating node
// checks as gating nodes do by default.
func liarProcesses(ctx context.Context, o Options) (Metrics, error) {
	return o.onStage(ctx, simswarm.OneLiar(), o.NewTokens, func(s *stage) error {
		s.out["new_tokens"] = float64(o.NewTokens)
		for _, c := range []struct{ name, fault, audit string }{
			{"honest", "", "auto"},
			{"always", "lying", "auto"},
			// Its first answer of each expert is right, by which it earns trust: from
			// then on only a share is audited, and wrong ones are used, as is stated.
			{"replaying", "replaying", "always"},
		} {
			if o.Quick && c.name != "always" {
				continue
			}
			fault := func(i int) string {
				if i == s.cast.Liar {
					return c.fault
				}
				return ""
			}
			if err := s.swarm(ctx, fault, func(p *processes) error { return liarProcessRun(ctx, s, p, c.fault, c.name+"_") }, "--audit", c.audit); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
		return nil
	})
}

// liarProcessRun answers the prompt until the liar is caught. Where its twin is
// quicker it may not be asked for many answers; they do not count, up to a limit.
func liarProcessRun(ctx context.Context, s *stage, p *processes, fault, name string) error {
	out, liar := s.out, p.swarm.Nodes[s.cast.Liar].Peer
	const answers, unasked = 8, 1000 // at most with the liar in them, and without
	caught, asked := false, 0
	for i := 0; asked < answers && i-asked < unasked && !caught; i++ {
		a, err := s.answer(ctx, p, s.o.NewTokens)
		if err != nil {
			return err
		}
		v, err := p.view(ctx)
		if err != nil {
			return err
		}
		if v.Audit == nil {
			return errors.New("the gating node checks nothing")
		}
		out[name+"tokens_per_s"], out[name+"audited_answers"] = a.DecodeRate(), float64(v.Audit.Audited)
		out[name+"failovers"], out[name+"hedged_calls"] = float64(v.Routing.Failovers), float64(v.Routing.HedgedCalls)
		if err := withinBudget(v.Routing); err != nil {
			return err
		}
		for _, peer := range v.Peers {
			if peer.Peer == liar && peer.Calls != nil && peer.Calls.Calls > 0 {
				asked++
			}
			if peer.Calls == nil || peer.Calls.Excluded == "" {
				continue
			}
			if peer.Peer != liar || fault == "" {
				return fmt.Errorf("holder %s is honest and was condemned: %s", peer.Peer, peer.Calls.Excluded)
			}
			caught = true
			out[name+"caught_in_answer"], out[name+"calls_until_caught"] = float64(i+1), float64(peer.Calls.Calls)
		}
		if fault == "" && i > 0 {
			break
		}
	}
	if fault != "" && !caught {
		return fmt.Errorf("the liar, %s, was not caught in %d answers in which it was asked", liar, asked)
	}
	s.o.Progress("%-10s %.1f tokens/s, %v answers audited, caught: %v after %v calls", name, out[name+"tokens_per_s"], out[name+"audited_answers"], caught, out[name+"calls_until_caught"])
	return nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// liarProcesses is the liar scenario with real nodes: one of eight holder
// processes gives wrong results, over libp2p, behind relays. The gating node
// checks as gating nodes do by default.
func liarProcesses(ctx context.Context, o Options) (Metrics, error) {
	path, err := o.modelPath(ctx)
	if err != nil {
		return nil, err
	}
	m, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cast := simswarm.OneLiar()
	out := Metrics{"holders": float64(cast.Holders), "replicas": float64(cast.Replicas), "new_tokens": float64(o.NewTokens)}
	left := leaks()
	prompt, _, err := promptFor(m, o.Prompt, o.Seed)
	if err != nil {
		return nil, err
	}
	want, err := localText(ctx, m, prompt, o)
	if err != nil {
		return nil, err
	}
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
		if err := liarProcessRun(ctx, o, path, m, cast, c.fault, c.audit, prompt, want, out, c.name+"_"); err != nil {
			return out, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return out, checkLeaks(left, out)
}

// liarProcessRun answers the prompt until the liar is caught: it may not be
// asked at first.
func liarProcessRun(ctx context.Context, o Options, path string, m *expert.Model, cast simswarm.Cast, fault, audit, prompt string, want []int32, out Metrics, name string) (err error) {
	p, err := startProcesses(ctx, o, path, m, cast, func(i int) string {
		if i == cast.Liar {
			return fault
		}
		return ""
	}, "--audit", audit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	liar := p.swarm.Nodes[cast.Liar].Peer
	const answers = 8
	caught := false
	for i := 0; i < answers && !caught; i++ {
		a, err := askFor(ctx, p.entry, prompt, o.NewTokens, o.Seed)
		if err != nil {
			return err
		}
		if !slices.Equal(a.Tokens, want[:min(len(want), len(a.Tokens))]) {
			return fmt.Errorf("answer %d: tokens %v differ from the local %v", i, a.Tokens, want)
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
		return fmt.Errorf("the liar, %s, was not caught in %d answers", liar, answers)
	}
	o.Progress("%-10s %.1f tokens/s, %v answers audited, caught: %v after %v calls", name, out[name+"tokens_per_s"], out[name+"audited_answers"], caught, out[name+"calls_until_caught"])
	return nil
}

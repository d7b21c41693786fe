package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/simswarm"
	"github.com/moeswarm/moeswarm/routing"
)

// A layer of 16 experts, 8 of them asked for a row, three holders with all of
// them. A call takes slowWork, so a third of a layer about 3 ms; in its slow
// spells the first holder takes ten times that.
const (
	slowExperts = 16
	slowTopK    = 8
	slowFactor  = 10
	slowWork    = time.Millisecond
	slowGood    = 400 * time.Millisecond // mean length of a good spell
	slowBad     = 100 * time.Millisecond // mean length of a slow one
	slowShare   = 0.05                   // of single asks
	slowWarm    = 20                     // rounds until the holders are known
)

func slowDefaults(o *Options) {
	o.oneLayer()
	o.Prompt = orDefault(o.Prompt, 8)
	rounds := 2000
	if o.Fabric == fabricProcesses {
		rounds = 1000
	}
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 60, rounds))
}

// slowReplica times layer rounds while one of three replicas is ten times
// slower: in spells, which a router can learn of, and at single asks drawn one
// by one, which nothing announces.
func slowReplica(ctx context.Context, o Options) (Metrics, error) {
	if o.Fabric == fabricProcesses {
		return slowProcesses(ctx, o)
	}
	cast, left := simswarm.SlowReplica(), leaks()
	ids := experttest.IDs(expert.ModelID{1}, 0, slowExperts)
	world := experttest.NewFake(o.Seed, 64, ids...)
	out := Metrics{"rounds": float64(o.NewTokens), "slow_factor": slowFactor}
	for _, c := range []struct {
		name  string
		fault func() simswarm.Fault
	}{
		{"healthy", func() simswarm.Fault { return simswarm.Slow(1) }},
		{"spells", func() simswarm.Fault { return simswarm.Spells(slowFactor, slowGood, slowBad, o.Seed) }},
		{"single", func() simswarm.Fault { return simswarm.SlowSeldom(slowFactor, slowShare, o.Seed) }},
	} {
		for _, mode := range hedging() {
			s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: o.sleep(), Link: cast.Link})
			for i := range cast.Holders {
				apply := simswarm.Modelled(world, simswarm.Work{PerCall: slowWork, Sleep: o.sleep()})
				if i == 0 {
					apply = simswarm.With(apply, c.fault())
				}
				s.Join(simswarm.Holder{Name: holderName(i), Held: ids, Apply: apply})
			}
			a, err := startAsker(askerConfig{swarm: s, policy: hedged(routing.Policy{Seed: o.Seed + 1}, mode)})
			if err != nil {
				return nil, err
			}
			took, err := layerRounds(ctx, a.router, world, ids, slowTopK, slowWarm+o.NewTokens, o.Seed)
			sent, _ := a.tally.take()
			totals := a.router.Totals()
			if cerr := a.close(); err == nil {
				err = cerr
			}
			if err != nil {
				return nil, err
			}
			took = took[slowWarm:]
			name := c.name + "_hedge_" + mode + "_"
			dup := float64(duplicates(totals)) / float64(max(1, sent))
			share := float64(s.Stats(holderName(0)).Calls) / float64(max(1, sent))
			out[name+"round_p50_ms"], out[name+"round_p99_ms"] = quantile(took, 0.5), quantile(took, 0.99)
			out[name+"round_p999_ms"] = quantile(took, 0.999)
			out[name+"p99_over_p50"] = out[name+"round_p99_ms"] / out[name+"round_p50_ms"]
			out[name+"duplicates_pct"], out[name+"calls_at_slow_pct"] = 100*dup, 100*share
			o.Progress("%-7s hedging %-4s p50 %.2f ms, p99 %.2f ms, %.2f %% duplicates, %.0f %% of calls at the slow one", c.name, mode,
				out[name+"round_p50_ms"], out[name+"round_p99_ms"], 100*dup, 100*share)
			if dup > duplicateBudget && o.NewTokens > 500 {
				return out, fmt.Errorf("%.1f %% of calls were duplicated, the budget is %.0f %%", 100*dup, 100*duplicateBudget)
			}
		}
	}
	return out, checkLeaks(left, out)
}

// layerRounds has a router apply some of the experts, other ones each time, to
// a row, and compares with the local results.
func layerRounds(ctx context.Context, r expert.Applier, world expert.Applier, ids []expert.ID, topK, rounds int, seed uint64) (took []time.Duration, err error) {
	for i := range rounds {
		in := experttest.Batch(seed+uint64(i), 1, 64)
		var calls []expert.Call
		for k := range topK {
			calls = append(calls, expert.Call{Expert: ids[(i*5+k)%len(ids)], Rows: []int32{0}})
		}
		want := world.Apply(ctx, in, calls)
		began := time.Now()
		got := r.Apply(ctx, in, calls)
		took = append(took, time.Since(began))
		for c := range calls {
			if got[c].Err != nil {
				return nil, got[c].Err
			}
			if !slices.Equal(got[c].Out.Data, want[c].Out.Data) {
				return nil, fmt.Errorf("round %d: %v differs from the local result", i, calls[c].Expert)
			}
		}
	}
	return took, nil
}

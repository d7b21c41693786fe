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
)

func slowDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 100, 3000))
}

// slowReplica times layer rounds while one of three replicas is ten times
// slower at random moments.
func slowReplica(ctx context.Context, o Options) (Metrics, error) {
	left := leaks()
	ids := experttest.IDs(expert.ModelID{1}, 0, slowExperts)
	world := experttest.NewFake(o.Seed, 64, ids...)
	out := Metrics{"rounds": float64(o.NewTokens), "slow_factor": slowFactor}
	for _, healthy := range []bool{true, false} {
		modes, rounds := hedging(), o.NewTokens
		if healthy { // what there is without the slow one
			modes, rounds = []string{"off"}, o.NewTokens/4
		}
		for _, mode := range modes {
			s := simswarm.New(simswarm.Config{Seed: o.Seed, Link: simswarm.Link{RTT: 5 * time.Millisecond, Jitter: 500 * time.Microsecond}})
			for i := range 3 {
				apply := simswarm.Modelled(world, simswarm.Work{PerCall: slowWork})
				if i == 0 && !healthy {
					apply = simswarm.With(apply, simswarm.Spells(slowFactor, slowGood, slowBad, o.Seed))
				}
				s.Join(simswarm.Holder{Name: holderName(i), Held: ids, Apply: apply})
			}
			a, err := startAsker(askerConfig{swarm: s, policy: hedged(routing.Policy{Seed: o.Seed + 1}, mode)})
			if err != nil {
				return nil, err
			}
			took, err := layerRounds(ctx, a.router, world, ids, slowTopK, rounds+20, o.Seed)
			sent, _ := a.tally.take()
			dup := float64(duplicates(a.router.Totals())) / float64(max(1, sent))
			if cerr := a.close(); err == nil {
				err = cerr
			}
			if err != nil {
				return nil, err
			}
			took = took[20:] // until the holders are known
			name := "hedge_" + mode + "_"
			if healthy {
				name = "healthy_"
			}
			out[name+"round_p50_ms"], out[name+"round_p99_ms"] = quantile(took, 0.5), quantile(took, 0.99)
			out[name+"p99_over_p50"] = out[name+"round_p99_ms"] / out[name+"round_p50_ms"]
			out[name+"duplicates_pct"] = 100 * dup
			o.Progress("%s p50 %.2f ms, p99 %.2f ms, %.2f %% duplicates", name, out[name+"round_p50_ms"], out[name+"round_p99_ms"], 100*dup)
			if dup > duplicateBudget && rounds > 500 {
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

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

// Who takes part is in simswarm.StaleMap.
const (
	// staleGood is what an answer from the near replica may take.
	staleGood = 8 * time.Millisecond
	staleWork = time.Millisecond // a call's, modelled
)

func staleDefaults(o *Options) {
	o.oneLayer()
	o.Prompt = orDefault(o.Prompt, 8)
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 48, 256))
}

// staleMap lets a router learn that one replica is near and the other is not,
// swaps them under its feet, and times the calls that follow. The peer project
// measured its map once at the start.
func staleMap(ctx context.Context, o Options) (Metrics, error) {
	if o.Fabric == fabricProcesses {
		return staleProcesses(ctx, o)
	}
	calls, cast := o.NewTokens, simswarm.StaleMap()
	ids := experttest.IDs(expert.ModelID{1}, 0, 8)
	world := experttest.NewFake(o.Seed, 64, ids...)
	left := leaks()
	out := Metrics{"calls": float64(calls), "published_p50_ms": 51.1}
	for _, mode := range hedging() {
		s := simswarm.New(simswarm.Config{Seed: o.Seed, Sleep: o.sleep()})
		for i := range cast.Holders {
			link := cast.LinkOf(i)
			s.Join(simswarm.Holder{Name: cast.Name(i), Held: ids, Link: &link,
				Apply: simswarm.Modelled(world, simswarm.Work{PerCall: staleWork, Sleep: o.sleep()})})
		}
		a, err := startAsker(askerConfig{swarm: s, policy: hedged(routing.Policy{Seed: o.Seed + 1}, mode)})
		if err != nil {
			return nil, err
		}
		took, wrong, err := staleRun(ctx, a, world, ids, calls, o.Seed)
		name := "hedge_" + mode + "_"
		sent, _ := a.tally.take()
		totals := a.router.Totals()
		if cerr := a.close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		if wrong > 0 {
			return nil, fmt.Errorf("%d results differ from the local ones", wrong)
		}
		staleInto(out, name, took)
		out[name+"duplicates_pct"] = 100 * float64(duplicates(totals)) / float64(max(1, sent))
		o.Progress("hedging %-4s p50 %.2f ms, recovered after %.0f calls, %.0f slow of %d", mode, out[name+"p50_ms"], out[name+"recovered_after_calls"], out[name+"slow_calls"], calls)
	}
	return out, checkLeaks(left, out)
}

// staleRun measures both replicas, swaps them and times calls of one row.
func staleRun(ctx context.Context, a *asker, world expert.Applier, ids []expert.ID, calls int, seed uint64) (took []time.Duration, wrong int, err error) {
	one := func(i int) error {
		in := experttest.Batch(seed+uint64(i), 1, 64)
		call := []expert.Call{{Expert: ids[i%len(ids)], Rows: []int32{0}}}
		want := world.Apply(ctx, in, call)[0]
		began := time.Now()
		got := a.router.Apply(ctx, in, call)[0]
		took = append(took, time.Since(began))
		if got.Err == nil && !slices.Equal(got.Out.Data, want.Out.Data) {
			wrong++
		}
		return got.Err
	}
	// Until both are measured: the router probes the one it does not use.
	for i := 0; ; i++ {
		if err := one(i); err != nil {
			return nil, wrong, err
		}
		peers := a.router.Peers()
		if len(peers) == 2 && peers[0].Measured && peers[1].Measured && i >= 20 {
			break
		}
		if i > 5000 {
			return nil, wrong, fmt.Errorf("the far replica is never measured")
		}
	}
	took = nil
	a.tally.take()
	for i, l := range simswarm.StaleSwapped() {
		a.swarm.Relink(holderName(i), l)
	}
	for i := range calls {
		if err := one(i); err != nil {
			return nil, wrong, err
		}
	}
	return took, wrong, nil
}

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/routing"
)

const (
	planExperts = 128
	planHolders = 1000
	planHeld    = 8 // experts of the layer at each holder: 62 replicas of each
	planTopK    = 8
)

func planDefaults(o *Options) {
	o.NewTokens = orDefault(o.NewTokens, quickly(o, 200, 5000))
}

// plan times the decision for one layer of one row, and what a router
// remembers of each peer.
func plan(ctx context.Context, o Options) (Metrics, error) {
	random := rand.New(rand.NewPCG(o.Seed, 6))
	now := time.Now()
	policy := routing.Policy{Seed: 1}
	peers := make([]routing.Estimate, planHolders)
	holders := make([][]int32, planExperts)
	swarm := &instantSwarm{holders: make(map[expert.ID][]routing.Peer)}
	for i := range peers {
		peers[i] = routing.NewEstimate(holderName(i), policy)
		for range 5 {
			peers[i].Observe(routing.Sample{Size: routing.Size{Bytes: 16 << 10, Calls: 2, Rows: 2},
				Took: time.Duration(5+random.IntN(60)) * time.Millisecond, Compute: time.Millisecond}, now)
		}
		for k := range planHeld {
			e := (i*planHeld + k + random.IntN(3)) % planExperts
			holders[e] = append(holders[e], int32(i))
			id := expert.ID{Model: expert.ModelID{1}, Index: uint16(e)}
			swarm.holders[id] = append(swarm.holders[id], holderName(i))
		}
	}
	works := make([]routing.Work, 64)
	for i := range works {
		works[i] = routing.Work{Rows: 1, Dim: 2048}
		for k, e := range random.Perm(planExperts)[:planTopK] {
			works[i].Calls = append(works[i].Calls, expert.Call{Expert: expert.ID{Model: expert.ModelID{1}, Index: uint16(e)}, Rows: []int32{0}})
			works[i].Holders = append(works[i].Holders, holders[e])
			works[i].Place = append(works[i].Place, k)
		}
	}
	out := Metrics{"experts": planExperts, "holders": planHolders, "top_k": planTopK, "replicas": float64(planHolders*planHeld) / planExperts}
	var before, after runtime.MemStats
	took := make([]time.Duration, 0, o.NewTokens)
	runtime.ReadMemStats(&before)
	for i := range o.NewTokens {
		began := time.Now()
		if _, err := routing.Plan(works[i%len(works)], peers, now, uint64(i)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	runtime.ReadMemStats(&after)
	out["plan_fresh_allocations"] = float64(after.Mallocs-before.Mallocs) / float64(o.NewTokens)
	out["plan_fresh_p50_us"], out["plan_fresh_p99_us"] = 1000*quantile(took, 0.5), 1000*quantile(took, 0.99)
	var err error
	out["bytes_per_peer"], err = bytesPerPeer(ctx, swarm)
	return out, err
}

// bytesPerPeer lets a router meet all holders and sees how much it grows,
// holdings included.
func bytesPerPeer(ctx context.Context, swarm *instantSwarm) (float64, error) {
	before := heap()
	r, err := routing.New(routing.Config{Directory: swarm, Caller: swarm, Policy: routing.Policy{Seed: 1}})
	if err != nil {
		return 0, err
	}
	in := expert.NewBatch(1, 8)
	for id := range swarm.holders {
		if res := r.Apply(ctx, in, []expert.Call{{Expert: id, Rows: []int32{0}}}); res[0].Err != nil {
			return 0, res[0].Err
		}
	}
	if n := len(r.Peers()); n != planHolders {
		return 0, fmt.Errorf("the router knows %d peers of %d", n, planHolders)
	}
	grown := heap() - before
	runtime.KeepAlive(r)
	return float64(grown) / planHolders, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// instantSwarm answers at once, with zeros.
type instantSwarm struct {
	holders map[expert.ID][]routing.Peer
}

func (s *instantSwarm) Holders(id expert.ID) []routing.Peer { return s.holders[id] }

func (s *instantSwarm) Call(_ context.Context, _ routing.Peer, a routing.Ask) (routing.Answer, error) {
	got := routing.Answer{Results: make([]expert.Result, len(a.Calls))}
	for i, c := range a.Calls {
		got.Results[i].Out = expert.NewBatch(len(c.Rows), a.In.Dim)
	}
	return got, nil
}

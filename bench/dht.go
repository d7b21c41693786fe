package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/moeswarm/moeswarm/swarm"
)

// dhtTable times stores and look-ups in the real hash table among peers in
// memory: as others measure theirs, and then with what a network adds.
func dhtTable(ctx context.Context, o Options) (Metrics, error) {
	base := swarm.DHTTrial{
		Peers: quickly(&o, 60, 1000), Holders: quickly(&o, 8, 64), Experts: quickly(&o, 64, 16384), Asked: quickly(&o, 32, 2048),
		Workers: quickly(&o, 4, 1), Seed: o.Seed, Say: o.Progress,
	}
	out := Metrics{"peers": float64(base.Peers), "holders": float64(base.Holders)}
	for _, row := range []struct {
		name    string
		latency time.Duration // one way
		dead    float64
		workers int
	}{{"ideal", 0, 0, base.Workers}, {"latency", 10 * time.Millisecond, 0, 16}, {"latency_dead", 10 * time.Millisecond, 0.1, 16}} {
		t := base
		t.Latency, t.Dead, t.Workers = row.latency, row.dead, row.workers
		if row.latency > 0 && !o.Quick {
			// Time passes in these rows; an eighth of the stores tells as much.
			t.Experts /= 8
		}
		if row.latency > 0 && o.Quick {
			t.Latency, t.DeadTime = time.Millisecond, 100*time.Millisecond
		}
		got, err := swarm.MeasureDHT(ctx, t)
		if err != nil {
			return nil, err
		}
		for name, took := range map[string][]time.Duration{"store": got.Store, "get": got.Get} {
			out[fmt.Sprintf("%s_%s_p50_ms", row.name, name)] = quantile(took, 0.5)
			out[fmt.Sprintf("%s_%s_p99_ms", row.name, name)] = quantile(took, 0.99)
			sum := time.Duration(0)
			for _, d := range took {
				sum += d
			}
			out[fmt.Sprintf("%s_%s_mean_ms", row.name, name)] = float64(sum.Microseconds()) / 1000 / float64(max(1, len(took)))
		}
		out[row.name+"_stored"], out[row.name+"_asked"] = float64(len(got.Store)), float64(len(got.Get))
		out[row.name+"_store_failed"], out[row.name+"_get_failed"] = float64(got.StoreFailed), float64(got.GetFailed)
		out[row.name+"_stores_per_s"] = float64(len(got.Store)) / got.StoreWall.Seconds()
		out[row.name+"_gets_per_s"] = float64(len(got.Get)) / got.GetWall.Seconds()
		out[row.name+"_records_per_peer"] = got.Records
	}
	return out, nil
}

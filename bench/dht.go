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
	trial := swarm.DHTTrial{
		Peers: quickly(&o, 60, 1000), Holders: quickly(&o, 8, 16), Experts: quickly(&o, 64, 16384), Measured: quickly(&o, 32, 512),
		Latency: 10 * time.Millisecond, Dead: 0.1, Seed: o.Seed, Say: o.Progress,
	}
	if o.Quick {
		trial.Latency, trial.DeadTime = time.Millisecond, 100*time.Millisecond
	}
	got, err := swarm.MeasureDHT(ctx, trial)
	if err != nil {
		return nil, err
	}
	out := Metrics{"peers": float64(trial.Peers), "holders": float64(trial.Holders), "experts": float64(trial.Experts),
		"measured": float64(trial.Measured), "records_per_peer": got.Records, "filled_stores_per_s": got.FilledPerS}
	for _, row := range []struct {
		name  string
		times swarm.DHTTimes
	}{{"ideal", got.Ideal}, {"latency", got.Latency}, {"latency_dead", got.Dead}} {
		for name, took := range map[string][]time.Duration{"store": row.times.Store, "get": row.times.Get} {
			sum := time.Duration(0)
			for _, d := range took {
				sum += d
			}
			out[fmt.Sprintf("%s_%s_mean_ms", row.name, name)] = float64(sum.Microseconds()) / 1000 / float64(max(1, len(took)))
			out[fmt.Sprintf("%s_%s_p50_ms", row.name, name)] = quantile(took, 0.5)
			out[fmt.Sprintf("%s_%s_p99_ms", row.name, name)] = quantile(took, 0.99)
		}
		out[row.name+"_store_failed"], out[row.name+"_get_failed"] = float64(row.times.StoreFailed), float64(row.times.GetFailed)
	}
	return out, nil
}

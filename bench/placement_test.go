package bench

import (
	"context"
	"maps"
	"testing"
	"time"
)

// TestPlacement: a swarm whose nodes come and go keeps two copies of nearly
// every expert, moves little for that, and the same seed gives the same run.
func TestPlacement(t *testing.T) {
	r, err := Run(context.Background(), "placement", Options{Quick: true, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Metrics
	if m["nodes_150_experts_missing"] > 1 || m["nodes_150_experts_below_two"] > 200 {
		t.Errorf("%v experts missing, %v with fewer than two holders of %v", m["nodes_150_experts_missing"], m["nodes_150_experts_below_two"], m["experts"])
	}
	if m["nodes_150_holes_per_h"] == 0 || m["nodes_150_hole_p50_s"] > 300 {
		t.Errorf("%v holes an hour, closed after %v s", m["nodes_150_holes_per_h"], m["nodes_150_hole_p50_s"])
	}
	if m["nodes_150_replicas_hot_over_cold"] < 1.5 {
		t.Errorf("hot experts have %v times the copies of cold ones", m["nodes_150_replicas_hot_over_cold"])
	}
	again, err := Run(context.Background(), "placement", Options{Quick: true, Seed: 3})
	if err != nil || !maps.Equal(m, again.Metrics) {
		t.Errorf("%v; another run: %v", err, again.Metrics)
	}
}

// TestChurnNumbers: sessions have the mean and median of the published fit.
func TestChurnNumbers(t *testing.T) {
	s := newPlaceSim(placeSwarm{name: "x", nodes: 1, online: 1, horizon: time.Hour}, 5)
	var sum time.Duration
	short := 0
	const n = 100_000
	for range n {
		d := session(s.random)
		sum += d
		if d < 161*time.Minute { // scale × ln(2)^(1/shape)
			short++
		}
	}
	if mean := sum / n; mean < 395*time.Minute || mean > 420*time.Minute || short < 49*n/100 || short > 51*n/100 {
		t.Errorf("mean %v, %d of %d below the median", mean, short, n)
	}
}

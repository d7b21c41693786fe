package bench

import (
	"context"
	"testing"
)

// TestDHT: every store is taken and every look-up finds its holder, also
// among peers that are slow or dead.
func TestDHT(t *testing.T) {
	r, err := Run(context.Background(), "dht", Options{Quick: true, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"ideal", "latency", "latency_dead"} {
		if r.Metrics[row+"_store_failed"] != 0 || r.Metrics[row+"_get_failed"] != 0 {
			t.Errorf("%s: %v stores and %v look-ups failed", row, r.Metrics[row+"_store_failed"], r.Metrics[row+"_get_failed"])
		}
	}
	// Twenty copies of 64 records, on 60 peers.
	if n := r.Metrics["records_per_peer"]; n < 15 || n > 30 {
		t.Errorf("%v records at a peer", n)
	}
	if r.Metrics["latency_get_p50_ms"] < 2 {
		t.Errorf("a look-up over links of 1 ms took %v ms", r.Metrics["latency_get_p50_ms"])
	}
}

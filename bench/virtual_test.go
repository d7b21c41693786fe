package bench

import (
	"context"
	"testing"
	"testing/synctest"
)

// The scenarios in virtual time: no other program can disturb them, so the
// targets are asserted. Computing takes no time there, but for what holders
// model. The numbers are logged: go test -run TestVirtual -v ./bench
func TestVirtual(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		o        Options
		most     map[string]float64 // by metric
	}{
		{"wan", Options{Model: "demo"}, map[string]float64{
			"rtt_5ms_hedge_off_round_p50_ms":  7.5,
			"rtt_30ms_hedge_off_round_p50_ms": 36,
		}},
		{"stale-map", Options{}, map[string]float64{
			"hedge_off_p50_ms":                8,
			"hedge_off_recovered_after_calls": 10,
		}},
		{"slow-replica", Options{}, map[string]float64{
			"spells_hedge_off_p99_over_p50": 2,
			"single_hedge_off_p99_over_p50": 2,
		}},
		{"failures", Options{NewTokens: 10}, map[string]float64{
			"p_0_loss_pct":    10,
			"p_1e-3_loss_pct": 10,
			"p_1e-2_loss_pct": 25,
		}},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := tt.o
				o.virtual, o.Seed, o.Progress = true, 1, t.Logf
				r, err := Run(context.Background(), tt.scenario, o)
				if err != nil {
					t.Fatal(err)
				}
				for name, most := range tt.most {
					if got, ok := r.Metrics[name]; !ok || got > most {
						t.Errorf("%s is %.2f, want %v at most", name, got, most)
					}
				}
			})
		})
	}
}

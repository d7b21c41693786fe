package bench

import (
	"context"
	"flag"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/synth"
)

var (
	virtualSeed    = flag.Uint64("seed", 1, "seed of the scenarios in virtual time")
	failureSeconds = flag.Int("seconds", 10, "seconds of each configuration of the failures scenario in virtual time")
)

// wideModel writes a model whose frames are as large as those of wan's own
// shape, so that losses hit as often, and which is small otherwise.
func wideModel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wide.gguf")
	err := synth.WriteFile(t.Context(), path, synth.Config{Quant: "Q8_0", Seed: 1, Shape: expert.Shape{
		Layers: 2, Experts: 16, TopK: 8, Dim: 2048, FF: 64, Vocab: 300, Context: 1024,
		Heads: 4, KVHeads: 2, HeadDim: 64, RopeBase: 1e6, NormEps: 1e-6}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The scenarios in virtual time: no other program can disturb them, so the
// targets are asserted. Computing takes no time there, but for what holders
// model. The numbers are logged: go test -run TestVirtual -v ./bench
func TestVirtual(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		o        Options
		most     map[string]float64 // by metric
		least    map[string]float64
	}{
		{"wan", Options{Model: wideModel(t), NewTokens: 200}, map[string]float64{
			"rtt_5ms_hedge_off_round_p50_ms":  7.5, // 5 and up to 4 calls at one holder
			"rtt_30ms_hedge_off_round_p50_ms": 36,  // and the worse of two or three jitters
		}, nil},
		{"stale-map", Options{}, map[string]float64{
			"hedge_off_p50_ms":                8,
			"hedge_off_recovered_after_calls": 10,
		}, nil},
		{"slow-replica", Options{}, map[string]float64{
			"spells_hedge_off_p99_over_p50": 2,
			"single_hedge_off_p99_over_p50": 2,
		}, nil},
		{"failures", Options{NewTokens: *failureSeconds}, map[string]float64{
			"p_0_loss_pct":    10,
			"p_1e-3_loss_pct": 10,
			"p_1e-2_loss_pct": 25,
			// Never answered: seen by nothing but the time that passes.
			"silent_p_1e-3_loss_pct": 10,
			"silent_p_1e-2_loss_pct": 25,
		}, nil},
		{"drafts", Options{NewTokens: 48}, nil, map[string]float64{
			"rtt_30ms_edit_speedup":    3,
			"rtt_30ms_nothing_slowest": 0.95,
			"rtt_0ms_nothing_slowest":  0.95,
		}},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := tt.o
				o.virtual, o.Seed, o.Progress = true, *virtualSeed, t.Logf
				r, err := Run(context.Background(), tt.scenario, o)
				if err != nil {
					t.Fatal(err)
				}
				for name, least := range tt.least {
					if got, ok := r.Metrics[name]; !ok || got < least {
						t.Errorf("%s is %.2f, want %v at least", name, got, least)
					}
				}
				for name, most := range tt.most {
					t.Logf("%s %.2f, at most %v", name, r.Metrics[name], most)
					if got, ok := r.Metrics[name]; !ok || got > most {
						t.Errorf("%s is %.2f, want %v at most", name, got, most)
					}
				}
			})
		})
	}
}

package bench

import (
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/expert/experttest"
	"github.com/moeswarm/moeswarm/internal/simswarm"
)

// Every network scenario runs to its end, short, and asserts what it asserts
// at full length: results equal to the local ones, no goroutine left.
func TestNetworkScenarios(t *testing.T) {
	for _, tt := range []struct {
		name string
		want []string // metrics that must be there and above 0
	}{
		{"wan", []string{"rtt_30ms_hedge_off_tokens_per_s", "rtt_0ms_hedge_off_round_p50_ms"}},
		{"stale-map", []string{"hedge_off_p50_ms"}},
		{"failures", []string{"p_1e-2_tokens_per_s"}},
		{"slow-replica", []string{"spells_hedge_off_p99_over_p50", "single_hedge_off_round_p50_ms"}},
		{"drafts", []string{"rtt_5ms_edit_speedup", "rtt_5ms_nothing_auto_tokens_per_s"}},
		{"liar", []string{"always_lies_told"}},
		{"plan", []string{"plan_fresh_p50_us", "bytes_per_peer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Run(t.Context(), tt.name, Options{Quick: true, Seed: 1, CacheDir: t.TempDir()})
			if err != nil {
				t.Fatalf("%v; metrics %v", err, r.Metrics)
			}
			for _, name := range tt.want {
				if !(r.Metrics[name] > 0) {
					t.Errorf("%s is %v in %v", name, r.Metrics[name], r.Metrics)
				}
			}
			if r.Metrics["goroutines_left"] != 0 {
				t.Error("goroutines are left")
			}
		})
	}
}

func TestSpread(t *testing.T) {
	ids := experttest.IDs(expert.ModelID{1}, 3, 16)
	shares := simswarm.Cast{Holders: 3, Replicas: 2}.Shares(ids)
	held := map[expert.ID]int{}
	for i, share := range shares {
		if len(share) < 10 || len(share) > 11 {
			t.Errorf("holder %d has %d experts", i, len(share))
		}
		for _, id := range share {
			held[id]++
		}
	}
	for _, id := range ids {
		if held[id] != 2 {
			t.Errorf("%v is held %d times", id, held[id])
		}
	}
}

// A scenario's name is what people type.
func TestNames(t *testing.T) {
	for _, s := range Scenarios() {
		if s.Name != strings.ToLower(s.Name) || s.About == "" || s.run == nil {
			t.Errorf("scenario %+v", s.Name)
		}
	}
	if _, err := Run(t.Context(), "wan", Options{Fabric: "pigeons"}); err == nil || !strings.Contains(err.Error(), "pigeons") {
		t.Errorf("an unknown fabric: %v", err)
	}
}

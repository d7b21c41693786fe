package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Real nodes behind relays that delay: the tokens are those of one machine,
// and a layer takes at least the round trip.
func TestBenchProcesses(t *testing.T) {
	stdout, stderr, err := runBinary(t, "bench", "wan", "--fabric", "processes", "--synthetic", "tiny", "--tokens", "8", "--quick", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var report struct{ Metrics map[string]float64 }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if m := report.Metrics; m["rtt_5ms_round_p50_ms"] < 4.5 || m["rtt_5ms_tokens_per_s"] <= 0 {
		t.Errorf("metrics %v, want rounds of 5 ms and more", m)
	}
}

// A holder process that lies over the real network is caught and named, and
// every token is right; holder processes that are killed cost time only.
func TestBenchBadProcesses(t *testing.T) {
	for _, tt := range []struct{ scenario, metric string }{
		{"liar", "always_calls_until_caught"},
		{"failures", "p_0_tokens_per_s"},
		{"stale-map", "hedge_off_p50_ms"},
		{"slow-replica", "spells_hedge_auto_round_p50_ms"},
	} {
		stdout, stderr, err := runBinary(t, "bench", tt.scenario, "--fabric", "processes", "--tokens", "4", "--quick", "--json")
		if err != nil {
			t.Fatalf("%s: %v\n%s", tt.scenario, err, stderr)
		}
		var report struct{ Metrics map[string]float64 }
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		if m := report.Metrics; m[tt.metric] <= 0 || m["goroutines_left"] != 0 {
			t.Errorf("%s: metrics %v", tt.scenario, m)
		}
	}
	if _, stderr, err := runBinary(t, "bench", "faulty-node", "kindness"); err == nil || !strings.Contains(stderr, "kindness") {
		t.Errorf("an unknown fault: %v, %s", err, stderr)
	}
	if _, stderr, err := runBinary(t, "bench", "plan", "--fabric", "processes"); err == nil || !strings.Contains(stderr, "liar") {
		t.Errorf("a scenario that processes cannot play: %v, %s", err, stderr)
	}
}

package main

import (
	"encoding/json"
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

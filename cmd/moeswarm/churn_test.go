package main

import (
	"encoding/json"
	"testing"
)

// TestChurn: seven processes that choose what to hold take a model over from
// the one that had it, which is killed; then nodes join and die, and no answer
// is lost or other than one machine's. (The scenario fails where one is.)
func TestChurn(t *testing.T) {
	stdout, stderr, err := runBinary(t, "bench", "churn", "--quick", "--tokens", "12", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var report struct{ Metrics map[string]float64 }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if m := report.Metrics; m["answers_without_seeder"] == 0 || m["answers"] <= m["answers_without_seeder"] || m["kills"] == 0 {
		t.Errorf("metrics %v, want answers, and kills", m)
	}
}

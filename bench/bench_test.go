package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestLocal runs the scenario on a small synthetic model, twice: the second
// run finds the file. Figures are only looked at for being there.
func TestLocal(t *testing.T) {
	o := Options{Synthetic: "tiny", CacheDir: t.TempDir(), Prompt: 20, NewTokens: 4, Seed: 7}
	wrote := 0
	o.Progress = func(format string, _ ...any) {
		if strings.HasPrefix(format, "writing") {
			wrote++
		}
	}
	for range 2 {
		r, err := Run(context.Background(), "local", o)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"prefill_tokens_per_s", "decode_tokens_per_s", "layer_round_p50_ms", "layer_round_p99_ms"} {
			if r.Metrics[name] <= 0 {
				t.Errorf("%s is %v", name, r.Metrics[name])
			}
		}
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Scenario != "local" || back.Seed != 7 || len(back.Metrics) != len(r.Metrics) {
			t.Errorf("%v: %s", err, b.String())
		}
		b.Reset()
		if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "decode_tokens_per_s") {
			t.Errorf("%v: %s", err, b.String())
		}
	}
	if wrote != 1 {
		t.Errorf("the model was written %d times, want once", wrote)
	}
}

func TestRefusals(t *testing.T) {
	for name, o := range map[string]Options{
		"two models":    {Model: "demo", Synthetic: "tiny"},
		"layers alone":  {Layers: 2},
		"negative":      {Prompt: -1},
		"one token":     {NewTokens: 1},
		"unknown shape": {Synthetic: "huge", CacheDir: t.TempDir()},
		"too long":      {Prompt: 5000},
	} {
		if _, err := Run(context.Background(), "local", o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Run(context.Background(), "nothing", Options{}); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("an unknown scenario: %v", err)
	}
}

func TestQuantile(t *testing.T) {
	d := []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}
	if p50, p99 := quantile(d, 0.5), quantile(d, 0.99); p50 != 3 || p99 != 4 {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("no durations, no quantile")
	}
}

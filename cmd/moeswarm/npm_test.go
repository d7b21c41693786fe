package main

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/localswarm"
)

// TestNPMClient: OpenAI's own JavaScript client, where "make clients" has
// installed it.
func TestNPMClient(t *testing.T) {
	const dir = "../../internal/httpapi/clients"
	if _, err := os.Stat(dir + "/node_modules/openai"); err != nil {
		t.Skip("the npm package openai is not installed; make clients does it")
	}
	s := start(t, localswarm.Config{Hold: []string{"*:0-7", "*:8-15"}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "openai.mjs", s.Entry.URL)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

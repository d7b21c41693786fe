package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/doctor"
)

// The doctor answers every question on this machine and leaves the ports free.
func TestDoctor(t *testing.T) {
	out, stderr, err := runBinary(t, "doctor", "--json", "--port", "41673", "--http", "127.0.0.1:41674")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	names := map[string]doctor.State{}
	for line := range strings.Lines(out) {
		var c doctor.Check
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		names[c.Name] = c.State
	}
	for _, name := range []string{"vector instructions", "memory", "disk speed", "port tcp :41673", "port udp :41673", "HTTP 127.0.0.1:41674", "router"} {
		if names[name] == "" {
			t.Errorf("nothing is said of %q: %v", name, names)
		}
	}
	if _, stderr, err := runBinary(t, "doctor", "--port", "0"); err == nil || !strings.Contains(stderr, "1 to 65535") {
		t.Errorf("port 0: %v, %q", err, stderr)
	}
}

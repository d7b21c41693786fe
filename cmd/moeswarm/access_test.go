package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/node"
)

// TestWhoMayAsk: an endpoint that others reach wants keys, or that its owner
// says not to.
func TestWhoMayAsk(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("a-key-of-some-length-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		http  string
		flags accessFlags
		want  string // in the error; empty: none
	}{
		{"127.0.0.1:4180", accessFlags{}, ""},
		{"[::1]:4180", accessFlags{}, ""},
		{"localhost:4180", accessFlags{}, ""},
		{"0.0.0.0:4180", accessFlags{}, "--insecure"},
		{":4180", accessFlags{}, "--insecure"},
		{"192.0.2.7:4180", accessFlags{}, "--api-key-file"},
		{"host.example:4180", accessFlags{}, "--insecure"},
		{"0.0.0.0:4180", accessFlags{insecure: true}, ""},
		{"0.0.0.0:4180", accessFlags{keyFile: keys}, ""},
		{"127.0.0.1:4180", accessFlags{origins: list{"*"}}, "--cors-origin *"},
		{"127.0.0.1:4180", accessFlags{origins: list{"*"}, keyFile: keys}, ""},
		{"127.0.0.1:4180", accessFlags{origins: list{"https://chat.example.org"}}, ""},
		{"127.0.0.1:4180", accessFlags{rate: -1}, "--rate -1"},
		{"127.0.0.1:4180", accessFlags{cert: "c"}, "go together"},
		{"127.0.0.1:4180", accessFlags{keyFile: keys + ".none"}, "--api-key-file"},
	} {
		cfg := node.Config{HTTP: tc.http}
		err := tc.flags.set(&cfg)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s, %+v: %v, want %q", tc.http, tc.flags, err, tc.want)
		}
		if tc.flags.keyFile == keys && len(cfg.Keys) != 1 {
			t.Errorf("%s: %d keys", tc.http, len(cfg.Keys))
		}
	}
}

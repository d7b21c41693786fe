package swarm

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadKeyLasts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "node.key")
	first, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(second) {
		t.Error("the second load gave another key")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o, want 0600", info.Mode().Perm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

// Processes that start at once on one data folder must agree on who they are.
func TestLoadKeyCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	keys := make([]ed25519.PrivateKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Errorf("load %d gave another key", i)
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"open to others", "x", 0o644, "chmod 600"},
		{"empty", "", 0o600, "no \"PRIVATE KEY\" block"},
		{"not PEM", "hello", 0o600, "no \"PRIVATE KEY\" block"},
		{"broken DER", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "key file"},
		{"huge", strings.Repeat("x", maxKeyFile+1), 0o600, "not a key file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKey(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

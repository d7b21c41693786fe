package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadLasts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "node.key")
	first, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Load(path, nil)
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
func TestLoadCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	keys := make([]ed25519.PrivateKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = Load(path, nil); err != nil {
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

func TestLoadRefuses(t *testing.T) {
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
			_, err := Load(path, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

// An encrypted key is the same key, asked for by its passphrase only, and the
// file shows neither.
func TestSealed(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.age")
	if err := Write(path, key, "correct horse"); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, key, ""); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key was replaced: %v", err)
	}
	pass := func(s string) Ask { return func() (string, error) { return s, nil } }
	if got, err := Load(path, pass("correct horse")); err != nil || !got.Equal(key) {
		t.Errorf("%v", err)
	}
	for name, ask := range map[string]Ask{"nobody": nil, "wrong": pass("battery"), "empty": pass(""),
		"refused": func() (string, error) { return "", fs.ErrPermission }} {
		if _, err := Load(path, ask); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, _ := os.ReadFile(path)
	if bytes.Contains(text, []byte(keyBlock)) || bytes.Contains(text, key.Seed()) {
		t.Error("the file shows the key")
	}
}

// FuzzParse: whatever a file holds, reading it ends, and what it accepts is a key.
func FuzzParse(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	plain, err := encode(key, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := parse(text, nil)
		if err == nil && len(key) != ed25519.PrivateKeySize {
			t.Errorf("a key of %d bytes", len(key))
		}
	})
}

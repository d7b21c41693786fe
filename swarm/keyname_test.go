package swarm

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/routing"
)

// A peer's name and its key say the same.
func TestKeyNames(t *testing.T) {
	for i := range 20 {
		private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+i)), ed25519.SeedSize)))
		n, err := New(Config{Key: private})
		if err != nil {
			t.Fatal(err)
		}
		key := [32]byte(private.Public().(ed25519.PublicKey))
		p, err := PeerOf(key)
		if err != nil || p != n.ID() {
			t.Errorf("%s, want %s: %v", p, n.ID(), err)
		}
		if back, err := KeyOf(p); err != nil || back != key {
			t.Errorf("%x, want %x: %v", back, key, err)
		}
	}
	// The second is the name of an RSA key, which tells only its hash.
	for _, bad := range []string{"", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "12D3KooW", "16Uiu2HAmBEqMD8r3SQHGpcSPMJkGsBZGPFPYzxrvnHNqJqnTqbmq"} {
		if key, err := KeyOf(routing.Peer(bad)); err == nil {
			t.Errorf("%q has key %x", bad, key)
		}
	}
}

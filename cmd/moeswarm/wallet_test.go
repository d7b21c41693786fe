package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWallet: a node's key is its account, also when it is encrypted, and a
// node runs on it.
func TestWallet(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	address, _, err := runBinary(t, "wallet", "address", "--data", data)
	if err != nil || !strings.HasPrefix(address, "address     neuro1") {
		t.Fatalf("%q, %v", address, err)
	}
	pass, wrong, sealed := filepath.Join(dir, "pass"), filepath.Join(dir, "wrong"), filepath.Join(dir, "key.age")
	for file, text := range map[string]string{pass: "tr0ub4dor\n", wrong: "troubador\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, stderr, err := runBinary(t, "wallet", "export", "--data", data, "--out", sealed, "--new-passphrase-file", pass); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if info, err := os.Stat(sealed); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if again, stderr, err := runBinary(t, "wallet", "address", "--key", sealed, "--passphrase-file", pass); err != nil || again != address {
		t.Errorf("%q, want %q: %v %s", again, address, err, stderr)
	}
	for _, tt := range []struct{ args, want string }{
		{"wallet address --key " + sealed, "MOESWARM_PASSPHRASE"},
		{"wallet address --key " + sealed + " --passphrase-file " + wrong, "passphrase is wrong"},
		{"wallet export --data " + data + " --out " + sealed, "never written over"},
		{"wallet export --data " + t.TempDir() + " --out " + filepath.Join(dir, "x"), "--data"},
		{"wallet spend", "no command"},
		{"wallet complain 5f0c --data " + t.TempDir(), "no node has run"},
		{"wallet address neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltzth", "cannot be told"},
		{"wallet address bob", "an address (neuro1…) does not tell the key"},
		{"wallet send neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltztq 1", "a character is wrong"},
		{"wallet send bob 1", "an address (neuro1…), a peer id"},
		{"wallet send neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltzth much", "is no amount"},
		{"wallet grant neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltzth 1", "name the ledger"},
		{"wallet grant --for -1h neuro1vvxu62txcsekdygj23ythvjmfl6p9fyucltzth 1", "want a time"},
		{"node --fees-from bob", "needs a --ledger"},
	} {
		if _, stderr, err := runBinary(t, strings.Fields(tt.args)...); err == nil || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: %v, %q; want %q", tt.args, err, stderr, tt.want)
		}
	}

	for _, form := range []int{3, 6} { // of its peer id, of its public key
		if of, stderr, err := runBinary(t, "wallet", "address", strings.Fields(address)[form]); err != nil || of != address {
			t.Errorf("%q, want %q: %v %s", of, address, err, stderr)
		}
	}

	node := exec.Command(built(t), "node", "--ephemeral", "--key", sealed, "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--while-stdin")
	node.Env = append(os.Environ(), "MOESWARM_PASSPHRASE=tr0ub4dor")
	stdin, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	url := startNode(t, node)
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = node.Wait()
	})
	out, _, err := runBinary(t, "status", "--node", url, "--json")
	peer := strings.Fields(address)[3]
	if err != nil || !strings.Contains(out, peer) {
		t.Errorf("a node that is not %s: %s %v", peer, out, err)
	}
}

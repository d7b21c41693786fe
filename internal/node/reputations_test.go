package node

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/routing"
)

// built makes a node that is not run.
func built(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestExclusionsSurvive: whoever was condemned stays so over a crash, and when
// the file of reputations is damaged; that file is kept aside and told of.
func TestExclusionsSurvive(t *testing.T) {
	m := tiny(t)
	dir := t.TempDir()
	var log bytes.Buffer
	cfg := Config{Models: []Model{{Model: m, Gate: true}}, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Reputations: filepath.Join(dir, "reputations.json"),
		Log: slog.New(slog.NewTextHandler(&log, nil))}
	built(t, cfg).condemn("12D3KooWliar", "it lied") // and it crashes: no file of reputations was written

	for name, damage := range map[string]func(){
		"never written": func() {},
		"cut off":       func() { write(t, cfg.Reputations, `{"version": 1, "peers": [{"pe`) },
		"of zeros":      func() { write(t, cfg.Reputations, string(make([]byte, 4096))) },
	} {
		damage()
		log.Reset()
		n := built(t, cfg)
		var saved bytes.Buffer
		if err := n.router.SaveReputations(&saved); err != nil {
			t.Fatal(err)
		}
		all, err := routing.ReadReputations(&saved)
		if err != nil || all["12D3KooWliar"].Excluded != "it lied" {
			t.Errorf("%s: %+v: %v", name, all, err)
		}
		if aside, _ := filepath.Glob(cfg.Reputations + ".unreadable-*"); name != "never written" && (len(aside) == 0 || !strings.Contains(log.String(), aside[0])) {
			t.Errorf("%s: kept aside %q; log %s", name, aside, &log)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

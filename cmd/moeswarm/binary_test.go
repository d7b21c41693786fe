package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating"
	"github.com/moeswarm/moeswarm/gating/trunk"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ggml"
	"github.com/moeswarm/moeswarm/internal/tokenizer"
)

// binary is the moeswarm program, built once for all tests of the package in
// a directory of its own, so that nothing of the checkout is in reach.
var binary struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	if role := os.Getenv(badRole); role != "" {
		if err := misbehave(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if binary.path != "" {
		os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// program builds the binary.
func built(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "moeswarm-test-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "moeswarm")
		out, err := exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput()
		if err != nil {
			binary.err = err
			os.Stderr.Write(out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// runBinary runs the program to its end with an empty home directory.
func runBinary(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, built(t), args...)
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "TMPDIR="+home, "XDG_DATA_HOME=", "XDG_CACHE_HOME=")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// reference completes a prompt greedily in this process, with all experts at
// hand and one row a step: the answer that every swarm must give.
func reference(t testing.TB, prompt string, n int) []int32 {
	t.Helper()
	m := demotest.Model(t, "Q4_K_M")
	pool := ggml.NewPool(1)
	set, err := expert.NewSet(m, m.Manifest().IDs(), pool)
	if err != nil {
		t.Fatal(err)
	}
	mix, err := gating.NewLayer(gating.Config{Model: m.ID(), Rule: gating.RuleOf(m), Applier: set})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trunk.New(trunk.Config{Model: m, Mixer: mix, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(m.File())
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tok.Encode(prompt, true)
	if err != nil {
		t.Fatal(err)
	}
	var answer []int32
	for pos := 0; ; pos++ {
		out, err := tr.Forward(context.Background(), trunk.Step{
			Tokens: ids[pos : pos+1], Positions: []int{pos}, Slots: []int{0}, Logits: []int{0}})
		if err != nil {
			t.Fatal(err)
		}
		if pos+1 < len(ids) {
			continue
		}
		best := int32(0)
		for i, v := range out.Row(0) {
			if v > out.Row(0)[best] {
				best = int32(i)
			}
		}
		answer, ids = append(answer, best), append(ids, best)
		if tok.EndsText(best) || len(answer) == n { // the end-of-text token is the answer's last
			return answer
		}
	}
}

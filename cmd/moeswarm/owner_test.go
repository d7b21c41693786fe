package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

// TestPause: a holder that its owner pauses is asked for nothing from then
// on, answers stay those of one machine, and it comes back when it is resumed.
func TestPause(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"*:*"}, Gates: 0, Bare: 1})
	data := t.TempDir()
	holder := exec.Command(built(t), "node", "--data", data, "--yield", "off", "--nice", "0", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--http", "127.0.0.1:0", "--while-stdin", "--model", "demo", "--join", s.Nodes[0].Addrs[0])
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	url := startNode(t, holder)
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = holder.Wait()
	})
	view := func(url string) (v node.View) {
		c, err := client.New(url)
		if err == nil {
			err = c.Get(context.Background(), "/v1/swarm", &v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	paused := func(url string) (n int) {
		for _, p := range view(url).Peers {
			for _, m := range p.Models {
				if m.Paused {
					n++
				}
			}
		}
		return n
	}
	await(t, "both holders", func() bool { return view(s.Entry.URL).Models != nil && view(s.Entry.URL).Models[0].HoldingNodes == 2 })
	want := reference(t, prompts[0], 48)
	sameTokens(t, prompts[0], complete(t, s, prompts[0], 48, nil).Tokens, want)

	if _, stderr, err := runBinary(t, "pause", "--node", url, "--data", t.TempDir()); err == nil || !strings.Contains(stderr, "--data") {
		t.Errorf("paused by who has no token: %v, %s", err, stderr)
	}
	if out, stderr, err := runBinary(t, "pause", "--for", "1h", "--node", url, "--data", data); err != nil || !strings.Contains(out, "paused until") {
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
	if out, _, err := runBinary(t, "status", "--node", url); err != nil || !strings.Contains(out, "paused for") || !strings.Contains(out, "the owner paused it") {
		t.Errorf("%v: %s", err, out)
	}
	await(t, "word of the pause", func() bool { return paused(s.Entry.URL) == 1 })
	before := view(url).Served.Calls
	sameTokens(t, prompts[0], complete(t, s, prompts[0], 48, nil).Tokens, want)
	if after := view(url).Served.Calls; after != before {
		t.Errorf("a paused node computed %d calls", after-before)
	}

	if _, stderr, err := runBinary(t, "resume", "--node", url, "--data", data); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	await(t, "word of the end", func() bool { return paused(s.Entry.URL) == 0 })
	if v := view(url); v.Owner.State == "paused" {
		t.Errorf("%+v", v.Owner)
	}
	sameTokens(t, prompts[0], complete(t, s, prompts[0], 48, nil).Tokens, want)
}

// await polls until good, for half a minute at the most.
// TestOwnersLimits: a node steps back behind other programs, keeps to its bound,
// and works for others at the owner's times only; its own prompts are answered.
func TestOwnersLimits(t *testing.T) {
	day := strings.ToLower(time.Now().Add(48 * time.Hour).Format("Mon")) // neither today nor, if it gets late, tomorrow
	p := started(t, t.TempDir(), "--model", "demo", "--gate", "--yield", "on", "--idle-only=20m", "--nice", "7", "--max-cpu", "90", "--schedule", day+" 10:00-10:01")
	p.await(t, "a pause outside the schedule", func(v node.View) bool { return v.Owner.State == "paused" })
	if v := p.view(t); v.Owner.MaxCPU != 90 || !strings.Contains(v.Owner.Reason, "schedule") {
		t.Errorf("%+v", v.Owner)
	}
	own, known := niceOf(os.Getpid())
	if got, _ := niceOf(p.cmd.Process.Pid); known && got != max(own, 7) { // only root may step forward
		t.Errorf("nice %d, want 7; this test's is %d", got, own)
	}
	p.answers(t, prompts[0], 8)
}

// niceOf is how far a process steps back, where the system tells.
func niceOf(pid int) (nice int, known bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// It is the 19th field; the second is the name, in brackets.
	nice, err = strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[16])
	return nice, err == nil
}

func await(t *testing.T, what string, good func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !good(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// startNode starts a node and gives the address of its HTTP endpoint.
func startNode(t *testing.T, cmd *exec.Cmd) (url string) {
	t.Helper()
	log := &safeBuffer{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, found := strings.Cut(line, "http=")
	if err != nil || !found {
		t.Fatalf("a node is not ready: %q, %v\n%s", line, err, log)
	}
	url, _, _ = strings.Cut(rest, " ")
	return url
}

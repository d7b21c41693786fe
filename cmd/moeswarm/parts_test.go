package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/node"
	"github.com/moeswarm/moeswarm/internal/transfer"
)

// process is one node with a data directory of its own.
type process struct {
	cmd   *exec.Cmd
	url   string
	addr  string
	err   *safeBuffer
	stdin io.Closer
}

// launch starts a node on loopback; it need not become ready.
func launch(t *testing.T, data string, args ...string) (p *process, ready func() bool) {
	t.Helper()
	args = append([]string{"node", "--data", data, "--yield", "off", "--mdns=false", "--nat=false", "--while-stdin",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0"}, args...)
	p = &process{cmd: exec.Command(built(t), args...), err: &safeBuffer{}}
	p.cmd.Stderr = p.err
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	return p, func() bool {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			return false
		}
		for _, f := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(f, "http="); ok {
				p.url = v
			}
			if v, ok := strings.CutPrefix(f, "addr="); ok {
				p.addr = strings.Split(v, ",")[0]
			}
		}
		go io.Copy(io.Discard, out)
		return true
	}
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// started starts a node and waits until it is ready.
func started(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p, ready := launch(t, data, args...)
	if !ready() {
		p.kill()
		t.Fatalf("a node did not start:\n%s", p.err)
	}
	return p
}

func (p *process) view(t *testing.T) node.View {
	t.Helper()
	resp, err := http.Get(p.url + "/v1/swarm")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v node.View
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// await asks a node again and again until what it says satisfies cond.
func (p *process) await(t *testing.T, what string, cond func(node.View) bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond(p.view(t)) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain: %s\n%s", what, p.err)
		}
	}
}

// answers checks that a node answers as one machine does.
func (p *process) answers(t *testing.T, prompt string, n int) {
	t.Helper()
	c, err := client.New(p.url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: n}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.err)
	}
	sameTokens(t, prompt, a.Tokens, reference(t, prompt, n))
}

func invitation(t *testing.T, p *process) string {
	t.Helper()
	out, errOut, err := runBinary(t, "invite", "--node", p.url)
	if err != nil {
		t.Fatalf("%v: %s", err, errOut)
	}
	return strings.TrimSpace(out)
}

func complete64(v node.View) bool {
	return len(v.Models) == 1 && v.Models[0].Held == v.Models[0].Experts
}

func heldHere(spec string) func(node.View) bool {
	return func(v node.View) bool { return len(v.Models) == 1 && v.Models[0].HeldHere == spec }
}

// TestPartsOutliveTheSeeder: three nodes join by ticket without a model file,
// get the trunk and the experts from the one that has it and from each other,
// and answer as one machine when it is gone; one comes back from its disk.
func TestPartsOutliveTheSeeder(t *testing.T) {
	seed := started(t, t.TempDir(), "--model", "demo", "--gate")
	ticket := invitation(t, seed)
	dir := t.TempDir()
	gate := started(t, dir, "--ticket", ticket, "--gate", "--experts", "none")
	a := started(t, t.TempDir(), "--join", ticket, "--experts", "*:0-9", "--join", gate.addr)
	b := started(t, t.TempDir(), "--ticket", ticket, "--experts", "*:8-15", "--join", gate.addr)
	a.await(t, "the experts of a", heldHere("*:0-9"))
	b.await(t, "the experts of b", heldHere("*:8-15"))
	gate.await(t, "the trunk", func(v node.View) bool { return len(v.Models) == 1 && v.Models[0].GatedHere })
	seed.kill()
	gate.await(t, "all experts without the seeder", func(v node.View) bool { return complete64(v) && v.Models[0].HoldingNodes == 2 })
	gate.answers(t, prompts[0], 32)

	gate.kill()
	again := started(t, dir, "--model", regexp.MustCompile(`[0-9a-f]{64}`).FindString(a.view(t).Models[0].ID), "--gate", "--experts", "none", "--join", a.addr, "--join", b.addr)
	again.await(t, "back from the disk", func(v node.View) bool { return complete64(v) && v.Models[0].GatedHere })
	if f := again.view(t).Models[0].Fetch; f == nil || f.Fetched != 0 {
		t.Errorf("fetched again: %+v", f)
	}
	again.answers(t, prompts[2], 16)
}

// TestHotExpertsComeHome: a gating node without experts fetches those that it uses
// most and computes them itself, to the same tokens; started again it knows them
// before anybody has asked anything.
func TestHotExpertsComeHome(t *testing.T) {
	seed := started(t, t.TempDir(), "--model", "demo")
	dir := t.TempDir()
	args := []string{"--ticket", invitation(t, seed), "--gate", "--experts", "none", "--hot-memory", "4MB"}
	gate := started(t, dir, args...)
	gate.await(t, "the trunk", func(v node.View) bool { return complete64(v) && v.Models[0].GatedHere })
	gate.answers(t, prompts[0], 32)
	hot := func(v node.View) bool { return complete64(v) && v.Models[0].Hot != nil && v.Models[0].Hot.Count > 0 }
	gate.await(t, "hot experts", hot)
	v := gate.view(t)
	if h := v.Models[0].Hot; h.Bytes > h.Budget || h.Budget != 4e6 || v.Models[0].HeldHere != "" && v.Models[0].HeldHere != "none" {
		t.Errorf("%+v, offered %q", h, v.Models[0].HeldHere)
	}
	gate.answers(t, prompts[0], 32)
	if now := gate.view(t).Routing; now.LocalCalls == v.Routing.LocalCalls {
		t.Error("nothing was computed at home")
	}
	gate.stdin.Close()
	if err := gate.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, gate.err)
	}
	again := started(t, dir, args...)
	again.await(t, "hot experts, before any prompt", hot)
	if r := again.view(t).Routing; r.RemoteCalls+r.LocalCalls > 0 {
		t.Errorf("%d calls before anybody asked", r.RemoteCalls+r.LocalCalls)
	}
	again.answers(t, prompts[2], 16)
}

// TestKilledFetch kills a node that fetches twenty times, at random moments. What
// its two sources sent is the content once and for each kill at most one chunk
// in all, which was asked for and not on disk yet; in the end the node serves
// every expert, and what it serves is right.
func TestKilledFetch(t *testing.T) {
	const seed, kills = 9, 20
	r := rand.New(rand.NewPCG(seed, 0))
	one := started(t, t.TempDir(), "--model", "demo", "--gate")
	two := started(t, t.TempDir(), "--model", "demo", "--experts", "all", "--join", one.addr)
	ticket := invitation(t, one)
	dir := t.TempDir()
	args := []string{"--ticket", ticket, "--join", two.addr, "--gate", "--max-download", "4MB"}
	had := int64(-1)
	grew := 0
	for range kills {
		p, ready := launch(t, dir, args...)
		up := make(chan bool, 1)
		go func() { up <- ready() }()
		wait := time.NewTimer(time.Duration(100+r.IntN(700)) * time.Millisecond)
		select {
		case <-wait.C:
		case ok := <-up:
			if !ok {
				t.Fatalf("a node does not start:\n%s", p.err)
			}
			<-wait.C
		}
		p.kill()
		if now := bytesIn(t, dir); now > had {
			had, grew = now, grew+1
		} else if now < had-diskSlack {
			t.Errorf("seed %d: %d bytes on disk where there were %d", seed, now, had)
		}
	}
	last := started(t, dir, args...)
	last.await(t, "everything", func(v node.View) bool { return heldHere("all")(v) && v.Models[0].GatedHere })
	fetch := last.view(t).Models[0].Fetch
	total := fetch.Total
	sent := one.view(t).PartsSent + two.view(t).PartsSent
	t.Logf("%d bytes of content, %d sent, %d runs brought some further", total, sent, grew)
	manifests := int64(kills+1) * 64 << 10 // the manifest, and trees
	if most := total + kills*transfer.Near + fetch.Doubled + manifests; sent > most {
		t.Errorf("seed %d: %d bytes were sent for %d; at most %d", seed, sent, total, most)
	}
	one.kill()
	two.kill()
	last.await(t, "the others are gone", func(v node.View) bool { return v.Models[0].HoldingNodes == 1 })
	last.answers(t, prompts[1], 24)
	last.kill()
	out, errOut, err := runBinary(t, "model", "verify", "--data", dir)
	if err != nil || !strings.Contains(out, ": 0 damaged") {
		t.Errorf("%s%s%v", out, errOut, err)
	}
}

// diskSlack is what the files beside a blob take that go when it is whole.
const diskSlack = 64 << 10

// bytesIn is how much disk the content store of a node takes.
func bytesIn(t *testing.T, data string) (n int64) {
	t.Helper()
	out, err := exec.Command("du", "-sk", filepath.Join(data, "content")).Output()
	if err != nil {
		return 0 // it was killed before it made one
	}
	n, err = strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDamagedPartsAreFetchedAgain: a part that the disk lost is found when the
// node starts, fetched again, and never served.
func TestDamagedPartsAreFetchedAgain(t *testing.T) {
	seed := started(t, t.TempDir(), "--model", "demo", "--gate")
	ticket := invitation(t, seed)
	dir := t.TempDir()
	p := started(t, dir, "--ticket", ticket, "--experts", "0:*")
	p.await(t, "a layer", heldHere("0:*"))
	p.kill()
	files, err := filepath.Glob(filepath.Join(dir, "content", "blobs", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	p = started(t, dir, "--ticket", ticket, "--experts", "0:*")
	p.await(t, "the layer again", heldHere("0:*"))
	if f := p.view(t).Models[0].Fetch; f.Fetched != int64(len(b)) {
		t.Errorf("%d bytes fetched for a part of %d", f.Fetched, len(b))
	}
	p.kill()
	if out, _, err := runBinary(t, "model", "verify", "--data", dir); err != nil || !strings.Contains(out, ": 0 damaged") {
		t.Errorf("%s%v", out, err)
	}
}

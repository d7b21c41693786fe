package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/demo"
	"github.com/moeswarm/moeswarm/internal/localswarm"
	"github.com/moeswarm/moeswarm/internal/node"
)

var prompts = []string{
	"func main() {",
	"// Package strings implements",
	"for i := 0; i < len(",
	"<|im_start|>user\nWhat does strings.Index do?<|im_end|>\n<|im_start|>assistant\n",
	"type Reader interface {\n\tRead(",
	"func (b *Buffer) Write(p []byte) (n int, err error) {\n",
}

// start starts a swarm of real processes and stops it with the test.
func start(t *testing.T, cfg localswarm.Config) *localswarm.Swarm {
	t.Helper()
	cfg.Exec, cfg.Model = built(t), "demo"
	logs := &safeBuffer{}
	cfg.Log = logs
	s, err := localswarm.Start(context.Background(), cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, logs)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	return s
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// complete asks the swarm's entry; at each piece of text it calls piece with
// the number of pieces so far.
func complete(t *testing.T, s *localswarm.Swarm, prompt string, n int, piece func(int)) client.Answer {
	t.Helper()
	c, err := client.New(s.Entry.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	count := 0
	a, err := c.Complete(ctx, client.Request{Prompt: prompt, MaxTokens: n}, func(string) {
		count++
		if piece != nil {
			piece(count)
		}
	})
	if err != nil {
		t.Errorf("%.30q: %v", prompt, err)
	}
	return a
}

func sameTokens(t *testing.T, prompt string, got, want []int32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%.30q:\n got %v\nwant %v", prompt, got, want)
	}
}

// Each half of the experts is held twice, so that any one holder may go.
var twice = []string{"*:0-7", "*:8-15", "*:0-7", "*:8-15"}

// TestSwarmEqualsLocal: four processes give the tokens of one, one prompt
// after the other and all at once.
func TestSwarmEqualsLocal(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"*:0-3", "*:4-7", "*:8-11", "*:12-15"}})
	const n = 64
	want := map[string][]int32{}
	for _, p := range prompts {
		want[p] = reference(t, p, n)
		sameTokens(t, p, complete(t, s, p, n, nil).Tokens, want[p])
	}
	var wg sync.WaitGroup
	for range 3 {
		for _, p := range prompts {
			wg.Go(func() { sameTokens(t, p, complete(t, s, p, n, nil).Tokens, want[p]) })
		}
	}
	wg.Wait()
	var v node.View
	c, _ := client.New(s.Nodes[0].URL)
	if err := c.Get(context.Background(), "/v1/swarm", &v); err != nil {
		t.Fatal(err)
	}
	if v.Routing.RemoteCalls == 0 || v.Routing.LocalCalls == 0 {
		t.Errorf("the gating node made %d remote and %d local calls; both must be above 0", v.Routing.RemoteCalls, v.Routing.LocalCalls)
	}
}

// TestGateWithoutExperts: a gate that holds none asks peers for every expert.
func TestGateWithoutExperts(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"0,1:*", "2-3:*"}, Gates: 0, Bare: 1})
	sameTokens(t, prompts[0], complete(t, s, prompts[0], 40, nil).Tokens, reference(t, prompts[0], 40))
	// The entry, which asked no peer for an expert, tells what the gating node did.
	r, err := http.Post(s.Entry.URL+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"func main() {","max_tokens":5,"temperature":0}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if timing := r.Header.Get("Server-Timing"); !strings.Contains(timing, `holders;desc="2"`) || strings.Contains(timing, `rounds;desc="0"`) {
		t.Errorf("Server-Timing: %s", timing)
	}
	var v node.View
	c, _ := client.New(s.Nodes[2].URL)
	if err := c.Get(context.Background(), "/v1/swarm", &v); err != nil {
		t.Fatal(err)
	}
	if v.Routing.LocalCalls != 0 || v.Routing.RemoteCalls == 0 {
		t.Errorf("%d local and %d remote calls", v.Routing.LocalCalls, v.Routing.RemoteCalls)
	}
}

// TestHolderKilled: a holder is killed in the middle of answers.
func TestHolderKilled(t *testing.T) {
	s := start(t, localswarm.Config{Hold: twice, Bare: 1})
	testKilled(t, s, func() *localswarm.Node { return s.Nodes[1] })
}

// TestGateKilled: the gating node that works on the answers is killed. The
// other one takes over; no token is lost or repeated.
func TestGateKilled(t *testing.T) {
	s := start(t, localswarm.Config{Hold: twice, Bare: 2})
	// Which gate the entry prefers is the network's choice: find out in time.
	testKilled(t, s, func() *localswarm.Node { return busiest(t, s.Nodes[4], s.Nodes[5]) })
	var v node.View
	c, _ := client.New(s.Entry.URL)
	if err := c.Get(context.Background(), "/v1/swarm", &v); err != nil {
		t.Fatal(err)
	}
	if v.Answers.Failovers == 0 {
		t.Error("no answer moved to the other gating node")
	}
}

// busiest is the node that asked peers for the most calls.
func busiest(t *testing.T, nodes ...*localswarm.Node) *localswarm.Node {
	t.Helper()
	var best *localswarm.Node
	most := -1
	for _, n := range nodes {
		var v node.View
		c, _ := client.New(n.URL)
		if err := c.Get(context.Background(), "/v1/swarm", &v); err != nil {
			t.Error(err)
		}
		if v.Routing.RemoteCalls > most {
			best, most = n, v.Routing.RemoteCalls
		}
	}
	return best
}

// testKilled runs several answers at once and kills the victim, chosen at that
// moment, when the first of them is well under way.
func testKilled(t *testing.T, s *localswarm.Swarm, victim func() *localswarm.Node) {
	t.Helper()
	const n = 200
	var (
		kill   sync.Once
		killed atomic.Bool
		wg     sync.WaitGroup
	)
	for _, p := range prompts {
		want := reference(t, p, n)
		wg.Go(func() {
			a := complete(t, s, p, n, func(pieces int) {
				if pieces == 10 {
					kill.Do(func() {
						victim().Kill()
						killed.Store(true)
					})
				}
			})
			sameTokens(t, p, a.Tokens, want)
		})
	}
	wg.Wait()
	if !killed.Load() {
		t.Fatal("no answer was long enough for the kill")
	}
}

// TestGoodbye: a gating node told to stop hands its answers over, says
// goodbye and exits with status 0, within the time it promises.
func TestGoodbye(t *testing.T) {
	s := start(t, localswarm.Config{Hold: twice, Bare: 2})
	stopped := make(chan error, 1)
	p := prompts[1]
	a := complete(t, s, p, 200, func(pieces int) {
		if pieces == 5 {
			victim := busiest(t, s.Nodes[4], s.Nodes[5])
			go func() { stopped <- victim.Stop() }()
		}
	})
	sameTokens(t, p, a.Tokens, reference(t, p, 200))
	if err := <-stopped; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// TestMissingExperts: while nobody holds some experts, a prompt gets an error
// that names them within seconds; when a holder joins, prompts are answered.
func TestMissingExperts(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"0,2-3:*;1:0-3,8-15"}})
	c, err := client.New(s.Entry.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	begun := time.Now()
	_, err = c.Complete(ctx, client.Request{Prompt: prompts[0], MaxTokens: 5}, nil)
	t.Logf("refused after %v", time.Since(begun))
	want := fmt.Sprintf("layer 1: experts 4-7 have no holder; a node with %d kB to spare fixes it", (demoBytes(t, 1, 4, 7)+999)/1000)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	holder := exec.Command(built(t), "node", "--ephemeral", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--http", "none", "--model", "demo", "--experts", "1:4-7", "--join", s.Nodes[0].Addrs[0])
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Wait()
	defer holder.Process.Kill()
	var a client.Answer
	for a.Tokens == nil && ctx.Err() == nil { // each try waits some seconds for news
		a, err = c.Complete(ctx, client.Request{Prompt: prompts[0], MaxTokens: 40}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	sameTokens(t, prompts[0], a.Tokens, reference(t, prompts[0], 40))
}

// demoBytes is how many bytes the experts first to last of a layer of the demo
// model take.
func demoBytes(t *testing.T, layer, first, last int) (bytes int64) {
	t.Helper()
	m, err := expert.NewModel(demo.Name, demo.GGUF(), expert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for x := first; x <= last; x++ {
		p, ok := m.Manifest().Piece(layer, x)
		if !ok {
			t.Fatalf("layer %d has no expert %d", layer, x)
		}
		bytes += p.Size
	}
	return bytes
}

// TestBestEffort: an expert of little weight that nobody holds is left out of
// an answer that allows it, and the answer says so; an exact one is refused.
func TestBestEffort(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"1-3:*;0:0-12,14,15"}})
	c, err := client.New(s.Entry.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := prompts[1] // whose rows choose expert 13 of layer 0 among others
	a, err := c.Complete(ctx, client.Request{Prompt: p, MaxTokens: 40, BestEffort: 0.99}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Tokens) != 40 || a.Dropped.Calls == 0 || a.Dropped.Mass <= 0 {
		t.Errorf("%d tokens, dropped %+v", len(a.Tokens), a.Dropped)
	}
	if _, err := c.Complete(ctx, client.Request{Prompt: p, MaxTokens: 40}, nil); err == nil || !strings.Contains(err.Error(), "layer 0: expert 13") {
		t.Errorf("an exact answer: %v", err)
	}
}

// TestEntryStops: a node told to stop while an answer to its own user runs
// finishes it first, whether it gates itself or asks a gating node.
func TestEntryStops(t *testing.T) {
	s := start(t, localswarm.Config{Hold: twice})
	for _, n := range []*localswarm.Node{s.Entry, s.Nodes[0]} {
		c, err := client.New(n.URL)
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 1)
		count := 0
		a, err := c.Complete(context.Background(), client.Request{Prompt: prompts[1], MaxTokens: 200}, func(string) {
			if count++; count == 5 {
				go func() { stopped <- n.Stop() }()
			}
		})
		if err != nil {
			t.Error(err)
		}
		sameTokens(t, prompts[1], a.Tokens, reference(t, prompts[1], 200))
		if err := <-stopped; err != nil {
			t.Errorf("the node ended with %v", err)
		}
	}
}

// TestRun: the command's JSON is the reference's, and nothing stays behind.
func TestRun(t *testing.T) {
	out, errout, err := runBinary(t, "run", "--nodes", "3", "-n", "48", "--json", prompts[0])
	if err != nil {
		t.Fatalf("%v\n%s", err, errout)
	}
	var sum summary
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sameTokens(t, prompts[0], sum.Tokens, reference(t, prompts[0], 48))
	if len(sum.Nodes) != 3 || sum.Text == "" || sum.PromptTokens != 4 || sum.TotalMs <= 0 {
		t.Errorf("summary: %+v", sum)
	}
	for _, n := range sum.Nodes {
		if n.Calls == 0 {
			t.Errorf("node %s did nothing", n.Peer)
		}
	}
}

// TestInterrupted: after Ctrl-C in the middle of an answer no process and no
// file of "moeswarm run" is left.
func TestInterrupted(t *testing.T) {
	home := t.TempDir()
	cmd := exec.Command(built(t), "run", "-n", "1000", prompts[0])
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	if _, err := r.ReadString('}'); err != nil { // the answer has begun
		t.Fatal(err)
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) < 5 {
		t.Errorf("%d child processes, want 5", len(children))
	}
	cmd.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, r)
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted run must not exit with 0")
	}
	for _, pid := range children {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	left, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// childrenOf lists the child processes of a process. It needs Linux's /proc.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("no /proc to find child processes in")
	}
	var children []int
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(b), ") ")
		fmt.Sscan(string(b), &child)
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// TestHTTP speaks to a node as any program would.
func TestHTTP(t *testing.T) {
	s := start(t, localswarm.Config{Hold: []string{"all"}})
	post := func(body string) (int, map[string]any) {
		t.Helper()
		resp, err := http.Post(s.Entry.URL+"/v1/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, v
	}
	status, v := post(`{"model":"demo","prompt":"func main() {","max_tokens":10,"temperature":0}`)
	usage, _ := v["usage"].(map[string]any)
	if status != 200 || usage["prompt_tokens"] != 4.0 || usage["completion_tokens"] != 10.0 {
		t.Errorf("%d %v", status, v)
	}
	for body, want := range map[string]int{
		`{"model":"demo","prompt":"x","max_tokens":"many"}`:              400,
		`{"model":"demo","prompt":"x","temperature":-1}`:                 400,
		`{"model":"none such","prompt":"x"}`:                             404,
		`{"model":"demo","prompt":"x","n":-1}`:                           400,
		`not json`:                                                       400,
		`{"model":"demo","prompt":"` + strings.Repeat("a ", 3000) + `"}`: 400,
	} {
		status, v := post(body)
		if fault, _ := v["error"].(map[string]any); status != want || fault["message"] == nil {
			t.Errorf("%.60s: %d %v, want %d", body, status, v, want)
		}
	}
	// The text up to a stop string, streamed and not.
	_, v = post(`{"prompt":"func main() {","max_tokens":60,"temperature":0,"stop":"runtime"}`)
	choice := v["choices"].([]any)[0].(map[string]any)
	if choice["finish_reason"] != "stop" || strings.Contains(choice["text"].(string), "runtime") {
		t.Errorf("stop string: %v", choice)
	}
	for _, page := range []string{"/healthz", "/v1/models", "/v1/swarm"} {
		resp, err := http.Get(s.Entry.URL + page)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !json.Valid(b) {
			t.Errorf("%s: %d %s", page, resp.StatusCode, b)
		}
	}
}

// TestMistakes: what people get wrong on the command line gets one clear line
// and status 2, or 1 where the line was right and the world is not.
func TestMistakes(t *testing.T) {
	notGGUF := filepath.Join(t.TempDir(), "x.gguf")
	os.WriteFile(notGGUF, []byte("hello, this is no model"), 0o644)
	for _, c := range []struct {
		status int
		say    string
		args   []string
	}{
		{2, "command", nil},
		{2, "no command", []string{"nodes"}},
		{2, "nodes", []string{"run", "--nodes", "many", "x"}},
		{2, "--nodes", []string{"run", "--nodes", "0", "x"}},
		{2, "missing", []string{"run"}},
		{2, "quote", []string{"run", "func", "main"}},
		{2, "--experts", []string{"node", "--ephemeral", "--model", "demo", "--experts", "9:*"}},
		{2, "--gate", []string{"node", "--ephemeral", "--gate"}},
		{2, "--http", []string{"node", "--ephemeral", "--http", "8080"}},
		{1, "multiaddr", []string{"node", "--ephemeral", "--http", "none", "--join", "192.168.1.1:4160"}},
		{1, "x.gguf", []string{"run", "--model", notGGUF, "x"}},
		{1, "no such file", []string{"run", "--model", notGGUF + "f", "x"}},
		{1, "no node answers", []string{"status", "--node", "127.0.0.1:1"}},
		{1, "scenario", []string{"bench", "nothing"}},
		{2, "flags", []string{"bench", "local", "--tokens", "ten"}},
		{2, "auto, off or a number from 1 to 32", []string{"node", "--ephemeral", "--drafts", "many"}},
		{2, "add --gate", []string{"node", "--ephemeral", "--draft", "demo"}},
	} {
		out, errout, err := runBinary(t, c.args...)
		var exit *exec.ExitError
		status := 0
		if e, ok := err.(*exec.ExitError); ok {
			exit, status = e, e.ExitCode()
		}
		lines := strings.Split(strings.TrimSpace(errout), "\n")
		last := lines[len(lines)-1]
		if status != c.status || !strings.Contains(last, c.say) || !strings.HasPrefix(last, "moeswarm: ") {
			t.Errorf("%q: status %d (%v), want %d and %q; it said\n%s%s", c.args, status, exit, c.status, c.say, out, errout)
		}
	}
}

// TestHelp: every command has help with examples, and asking for it is no
// mistake.
func TestHelp(t *testing.T) {
	for _, c := range commands() {
		out, errout, err := runBinary(t, c.name, "-h")
		if err != nil || !strings.Contains(out, "Examples:") || errout != "" {
			t.Errorf("%s -h: %v\n%s%s", c.name, err, out, errout)
		}
	}
}

// TestModel imports, lists and shows.
func TestModel(t *testing.T) {
	data := t.TempDir()
	file, err := filepath.Abs("../../internal/demo/testdata/gopher-moe-15M-A6M-Q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ want, args string }{
		{"imported", "import " + file},
		{"gopher-moe-15M-A6M-Q8_0", "list"},
		{"Q8_0", "show gopher-moe-15M-A6M-Q8_0"},
		{"Q4_K", "show demo"},
	} {
		out, errout, err := runBinary(t, append([]string{"model", "--data", data}, strings.Fields(c.args)...)...)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("model %s: %v\n%s%s", c.args, err, out, errout)
		}
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moeswarm/moeswarm/internal/client"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/node"
)

// devnet is a development ledger of real processes.
type devnet struct {
	home, ticket string
	cmd          *exec.Cmd
}

// startDevnet starts "moeswarm-ledger devnet". Its binary is another module's
// and named in MOESWARM_LEDGER_BINARY; without it the test is skipped.
func startDevnet(t *testing.T, args ...string) *devnet {
	t.Helper()
	binary := os.Getenv("MOESWARM_LEDGER_BINARY")
	if binary == "" {
		t.Skip("set MOESWARM_LEDGER_BINARY to a moeswarm-ledger (cd ledger && go build ./cmd/moeswarm-ledger)")
	}
	d := &devnet{home: t.TempDir()}
	d.cmd = exec.Command(binary, append([]string{"devnet", "--home", d.home}, args...)...)
	log := &safeBuffer{}
	d.cmd.Stderr = log
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(os.Interrupt)
		_ = d.cmd.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	for s := bufio.NewScanner(out); s.Scan(); {
		if _, ticket, ok := strings.Cut(s.Text(), "--ledger "); ok {
			d.ticket = strings.Fields(ticket)[0]
			break
		}
	}
	if d.ticket == "" {
		t.Fatalf("no ticket: %s", log)
	}
	return d
}

func (d *devnet) account(i int) string { return filepath.Join(d.home, "accounts", strconv.Itoa(i)) }

// do runs a command of the program and gives what it prints.
func (d *devnet) do(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := runBinary(t, append(args, "--ledger", d.ticket)...)
	if err != nil {
		t.Fatalf("moeswarm %s: %v: %s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// TestDevnet: a model is admitted by vote, nodes bond and are drawn, a client
// with money is answered as one machine answers over changes of the epoch, to
// the unit, while a gating node dies; and a newcomer without money is answered
// too.
func TestDevnet(t *testing.T) {
	d := startDevnet(t, "--validators", "4", "--accounts", "6", "--block-time", "300ms", "--epoch-blocks", "30", "--voting-period", "5s")
	model := demotest.Model(t, "Q4_K_M").ID().String()

	// Governance admits the model.
	d.do(t, "gov", "propose", "--data", d.account(0), "--title", "Admit the demo model", "model", model, "demo")
	await(t, "the proposal", func() bool { return strings.Contains(d.do(t, "gov", "list", "--data", d.account(0)), "voting") })
	for i := range 3 {
		key := filepath.Join(d.home, fmt.Sprintf("validator%d", i), "node.key")
		d.do(t, "gov", "vote", "--key", key, "--data", t.TempDir(), "1", "yes")
	}
	await(t, "the vote", func() bool { return strings.Contains(d.do(t, "gov", "show", "--data", d.account(0), "1"), "passed") })

	// Three gating nodes bond, one more holds the experts.
	join := ""
	begin := func(i int, args ...string) (string, *exec.Cmd) {
		command := []string{"node"}
		if i == 0 {
			// As slow as weights on a disk: an answer takes some epochs.
			command = []string{"bench", "faulty-node", "work=40ms"}
		}
		args = append(append(command, "--data", d.account(i), "--yield", "off", "--nice", "0", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0",
			"--http", "127.0.0.1:0", "--ledger", d.ticket), args...)
		if join != "" {
			args = append(args, "--join", join)
		}
		cmd := exec.Command(built(t), args...)
		url := startNode(t, cmd)
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		return url, cmd
	}
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
	d.do(t, "wallet", "bond", "--data", d.account(0), "--role", "holder", "500")
	holder, _ := begin(0, "--model", "demo")
	join = view(holder).Addrs[0]
	gates := map[string]*exec.Cmd{} // by peer
	urls := map[string]string{}
	for i := 1; i <= 3; i++ {
		d.do(t, "wallet", "bond", "--data", d.account(i), "1000")
		url, cmd := begin(i, "--model", "demo", "--experts", "none", "--gate", "--drafts", "off", "--price", "1000nneuro")
		gates[view(url).Peer], urls[view(url).Peer] = cmd, url
	}
	d.do(t, "wallet", "deposit", "--data", d.account(4), model, "40")
	payer, _ := begin(4, "--max-spend", "5")
	newcomer, _ := begin(5)
	awaitLong(t, "three seats", func() bool {
		seats := view(payer).Ledger.Seats
		return len(seats) == 1 && seats[0].Size == 3
	})
	epoch := view(payer).Ledger.Epoch
	awaitLong(t, "an epoch that the deposit counts in", func() bool { return view(payer).Ledger.Epoch > epoch })

	ask := func(url string, n int, at func(i int)) client.Answer {
		t.Helper()
		c, err := client.New(url)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		a, err := c.Complete(context.Background(), client.Request{Prompt: prompts[0], MaxTokens: n}, func(string) {
			if count++; at != nil {
				at(count)
			}
		})
		if err != nil {
			t.Fatalf("%v\n%+v", err, view(url).Ledger)
		}
		return a
	}
	// The answer takes longer than two epochs, and its gating node is killed.
	want := reference(t, prompts[0], 256)
	first := view(payer).Ledger.Epoch
	a := ask(payer, 256, func(i int) {
		if i != 60 {
			return
		}
		for peer, url := range urls {
			if view(url).Gating.Running > 0 {
				_ = gates[peer].Process.Kill()
			}
		}
	})
	sameTokens(t, prompts[0], a.Tokens, want)
	v := view(payer)
	if v.Ledger.Epoch < first+2 || v.Answers.Failovers == 0 {
		t.Errorf("epochs %d to %d, %d failovers", first, v.Ledger.Epoch, v.Answers.Failovers)
	}
	if v.Ledger.Promised == 0 || v.Ledger.Promised%1000 != 0 || v.Ledger.Promised < ledger.Amount(len(want))*1000 {
		t.Errorf("promised %v for %d tokens", v.Ledger.Promised, v.Ledger.Bought)
	}
	sameTokens(t, prompts[1], ask(newcomer, 24, nil).Tokens, reference(t, prompts[0], 24))
	if v := view(newcomer); v.Ledger.Promised != 0 || v.Ledger.Bought == 0 {
		t.Errorf("a newcomer promised %v for %d tokens", v.Ledger.Promised, v.Ledger.Bought)
	}

	// The epochs settle: who worked has more than it had.
	awaitLong(t, "settlement", func() bool { return view(holder).Ledger.Income > 0 })
	var b balanceView
	if err := json.Unmarshal([]byte(d.do(t, "wallet", "balance", "--json", "--model", model, "--data", d.account(4))), &b); err != nil {
		t.Fatal(err)
	}
	if left := b.Escrows[model].Balance; left >= 40*ledger.Neuro || left < 40*ledger.Neuro-view(payer).Ledger.Promised {
		t.Errorf("%v of the deposit are left after %v was promised", left, view(payer).Ledger.Promised)
	}
}

// awaitLong waits for what takes some epochs.
func awaitLong(t *testing.T, what string, good func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !good(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 2 minutes for %s", what)
		}
	}
}

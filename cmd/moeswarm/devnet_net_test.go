package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeswarm/moeswarm/internal/ledger/light"
)

// TestDevnetBehindRouter: a node behind a router joins the ledger of a public one
// by its ticket, catches up, and stakes; another home reads there what it has.
func TestDevnetBehindRouter(t *testing.T) {
	d := newDevnet(t, "--validators", "1", "--block-time", "500ms")
	n := newInternet(t, "l", "")
	in := func(ns, name string, args ...string) *daemon {
		return d.daemon(name, "ip", append([]string{"netns", "exec", n.ns(ns), d.binary}, args...)...)
	}
	do := func(ns, binary string, args ...string) string {
		t.Helper()
		cmd := exec.Command("ip", append([]string{"netns", "exec", n.ns(ns), binary}, args...)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("in %s: %v: %v\n%s", ns, args, err, &errs)
		}
		return string(out)
	}
	d.settings("validator0", func(s map[string]any) {
		s["listen"], s["light"] = "0.0.0.0:4100", []string{"/ip4/0.0.0.0/tcp/4101"}
	})
	public := in("public", "validator0", "start", "--home", filepath.Join(d.home, "validator0"), "--while-stdin")
	public.begin()
	ticket := public.readyTicket().String()

	home := filepath.Join(d.home, "joined")
	do("host1", d.binary, "init", "--home", home, "--ledger", ticket)
	joined := in("host1", "joined", "start", "--home", home, "--while-stdin")
	joined.begin()
	own := joined.readyTicket()
	if want, err := light.ParseTicket(ticket); err != nil || own.Chain != want.Chain {
		t.Fatalf("%s joined %s", own.Chain, ticket)
	}
	peer := own.Addrs[0][strings.LastIndex(own.Addrs[0], "/")+1:]
	do("host2", built(t), "wallet", "send", "--data", d.account(0), "--ledger", ticket, peer, "2000")
	// The joined node is a block behind the one that took the money.
	d.await("the money at the joined node", func() bool {
		cmd := exec.Command("ip", "netns", "exec", n.ns("host1"), built(t), "wallet", "balance", "--data", t.TempDir(), "--key", filepath.Join(d.account(0), "key"), "--ledger", own.String(), peer)
		out, err := cmd.Output()
		return err == nil && strings.Contains(string(out), "2000")
	})
	do("host1", d.binary, "validate", "--home", home, "--ledger", own.String(), "--stake", "1500")
	left := do("host2", built(t), "wallet", "balance", "--data", t.TempDir(), "--key", filepath.Join(d.account(0), "key"), "--ledger", ticket, peer)
	if !strings.Contains(left, "499.9") { // less fees
		t.Errorf("after staking 1500 of 2000 NEURO: %s", left)
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moeswarm/moeswarm/expert"
	"github.com/moeswarm/moeswarm/gating/chat"
	"github.com/moeswarm/moeswarm/internal/demo/demotest"
	"github.com/moeswarm/moeswarm/internal/ledger"
)

// badRole is the environment variable by which a process of this test program is
// a node that misbehaves, as no flag of the product makes one: "liar", whose
// results are off by a twentieth, "generous KEY", a gating node that gives half of
// what a holder did to KEY, or "cheat", see [cheat].
const badRole = "MOESWARM_TEST_ROLE"

// misbehave runs such a node with the flags of "moeswarm node".
func misbehave(role string, args []string) error {
	if args[0] == templateWorker {
		return chat.Serve(os.Stdin, os.Stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := program{getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	role, friend, _ := strings.Cut(role, " ")
	switch role {
	case "liar":
		p.misbehave = func(a expert.Applier) expert.Applier { return liar{a} }
	case "generous":
		k, err := ledger.ParseKey(friend)
		if err != nil {
			return err
		}
		p.sees = func(l ledger.Ledger) ledger.Ledger { return generous{l, k} }
	case "cheat":
		p.cheat = cheat()
	default:
		return fmt.Errorf("%s=%s: no such role", badRole, role)
	}
	return p.node(ctx, args[1:])
}

// liar gives results that are off by a twentieth.
type liar struct{ expert.Applier }

func (l liar) Apply(ctx context.Context, in expert.Batch, calls []expert.Call) []expert.Result {
	results := l.Applier.Apply(ctx, in, calls)
	for i, r := range results {
		out := expert.NewBatch(r.Out.Rows, r.Out.Dim)
		for k, x := range r.Out.Data {
			out.Data[k] = x * 1.05
		}
		results[i].Out = out
	}
	return results
}

// generous halves the largest leaf of each settlement; the rest is a friend's.
type generous struct {
	ledger.Ledger
	friend ledger.Key
}

func (g generous) Submit(ctx context.Context, m ledger.Msg) (ledger.TxID, error) {
	s, ok := m.(*ledger.SettleEpoch)
	if !ok || !s.Close || len(s.Leaves) == 0 {
		return g.Ledger.Submit(ctx, m)
	}
	leaves := slices.Clone(s.Leaves)
	most := 0
	for i, l := range leaves {
		if l.Units > leaves[most].Units {
			most = i
		}
	}
	all := leaves[most].Units
	leaves[most].Units = all / 2
	leaves = append(leaves, ledger.Leaf{Holder: g.friend, Units: all - all/2})
	root, _, err := ledger.Tree(leaves)
	if err != nil {
		return ledger.TxID{}, err
	}
	lie := *s
	lie.Leaves, lie.Root = leaves, root
	return g.Ledger.Submit(ctx, &lie)
}

// bad starts a node that misbehaves, in a process of its own.
func (d *devnet) bad(role string, account int, args ...string) *devNode {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	command := append([]string{badRole + "=" + role, self, "node", "--data", d.account(account), "--yield", "off", "--nice", "0", "--mdns=false",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--ledger", d.ticket, "--while-stdin", "--join", d.join}, args...)
	n := &devNode{daemon: d.daemon(fmt.Sprintf("node %d", account), "/usr/bin/env", command...), account: account, key: d.key(account)}
	n.begin()
	n.ready()
	return n
}

func (d *devnet) provider(k ledger.Key) ledger.Provider {
	d.t.Helper()
	p, err := d.reader.Provider(d.t.Context(), k)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// TestDevnetCourt: a holder that lies and a gating node that reports units that
// nobody did are processes among real ones on a real ledger, and lose what the
// rules say, because the nodes of the others do their part.
func TestDevnetCourt(t *testing.T) {
	d := startDevnet(t, "--param", "seats=1", "--param", "commit_blocks=40", "--param", "reveal_blocks=30", "--param", "appeal_blocks=10",
		"--param", "dispute_blocks=5", "--param", "min_reports=1", "--param", "audit_bps=0", "--param", "emission_start=0", "--model", demotest.Model(t, "Q4_K_M").ID().String()+"=demo")
	d.all(
		func() { d.do("wallet", "bond", "--data", d.account(0), "--role", "holder", "500") },
		func() { d.do("wallet", "bond", "--data", d.account(1), "--role", "holder", "500") },
		func() { d.do("wallet", "bond", "--data", d.account(2), "1000") },
		func() { d.do("wallet", "bond", "--data", d.account(3), "--role", "holder", "500") },
		func() { d.do("wallet", "bond", "--data", d.account(4), "--role", "holder", "500") },
		func() { d.do("wallet", "bond", "--data", d.account(5), "--role", "holder", "500") },
		func() { d.do("wallet", "bond", "--data", d.account(6), "1000") },
		func() { d.do("wallet", "deposit", "--data", d.account(7), d.model, "40") },
	)
	d.node(0, "", "--model", "demo")
	for i := 3; i <= 5; i++ {
		d.node(i, "", "--model", "demo", "--experts", fmt.Sprintf("*:%d-%d", i, i))
	}
	gate := d.node(2, "", "--model", "demo", "--experts", "none", "--gate", "--drafts", "off", "--price", "1000nneuro")
	client := d.node(7, "", "--max-spend", "5")
	client.seats(1)
	epoch := client.view().Ledger.Epoch
	d.await("an epoch that the deposit counts in", func() bool { return client.view().Ledger.Epoch > epoch })

	lying := d.bad("liar", 1, "--model", "demo")
	d.scene("liar", func() { d.liarLoses(client, lying) })
	d.scene("generous gate", func() {
		gate.stop()
		d.bad("generous "+gate.key.String(), 6, "--model", "demo", "--experts", "none", "--gate", "--drafts", "off", "--price", "1000nneuro")
		d.generousLoses(client, d.key(6), d.key(0), gate.key)
	})
}

// liarLoses: answers stay right, and a tenth of the liar's bond is gone.
func (d *devnet) liarLoses(client, lying *devNode) {
	var id ledger.Hash
	d.await("a case against the liar", func() bool {
		client.ask(prompts[0], 16, nil)
		ids, err := (ledger.View{Getter: d.reader}).Duties(d.t.Context(), lying.key)
		if err == nil && len(ids) > 0 {
			id = ids[0]
		}
		return id != ledger.Hash{}
	})
	var k ledger.Case
	d.await("the end of the case", func() bool {
		var err error
		k, err = (ledger.View{Getter: d.reader}).Case(d.t.Context(), id)
		return err == nil && k.Phase == ledger.PhaseFinal
	})
	ruled := 0
	for _, j := range k.First.Jurors {
		if j.State == ledger.JurorRevealed {
			ruled++
		}
	}
	d.t.Logf("%d of %d jurors ruled: %v, error %d millionths", ruled, len(k.First.Jurors), k.First.Finding, k.First.Ruling.Error)
	p := d.provider(lying.key)
	if k.First.Finding != ledger.Guilty || p.Bond != 450*ledger.Neuro || p.Strikes != 1 {
		d.t.Errorf("found %v, the liar has %v and %d strikes", k.First.Finding, p.Bond, p.Strikes)
	}
	d.await("a reputation from the gate's tally", func() bool { return d.provider(d.key(0)).Rep != uint16(ledger.DefaultParams().StartRep) })
}

// generousLoses: the gate's bond pays what its settlement left out, and a tenth.
func (d *devnet) generousLoses(client *devNode, gate, holder, friend ledger.Key) {
	d.await("the generous gate's seat", func() bool {
		seats, err := d.reader.Committee(d.t.Context(), d.clock().Epoch, d.modelHash())
		return err == nil && len(seats) == 1 && seats[0].Peer == gate
	})
	first := d.clock().Epoch
	d.await("an answer", func() bool {
		a, err := client.try(prompts[0], 48, nil)
		if err == nil {
			sameTokens(d.t, prompts[0], a.Tokens, reference(d.t, prompts[0], 48))
		}
		return err == nil
	})
	const bond = 1000 * ledger.Neuro
	d.await("a slash", func() bool { return d.provider(gate).Bond < bond-bond/20 })
	left := d.provider(gate).Bond
	view := ledger.View{Getter: d.reader}
	for e := first - 1; e <= d.clock().Epoch; e++ {
		w, err := view.Work(d.t.Context(), e, d.modelHash(), gate)
		if err != nil {
			d.t.Fatal(err)
		}
		if !w.Lied {
			continue
		}
		had, _, err := view.Claimed(d.t.Context(), e, d.modelHash(), gate, holder)
		if err != nil {
			d.t.Fatal(err)
		}
		gift, _, err := view.Claimed(d.t.Context(), e, d.modelHash(), gate, friend)
		if err != nil {
			d.t.Fatal(err)
		}
		for odd := range uint64(2) { // what the leaf was is half of all, rounded down
			short := had.Units - (gift.Units - odd)
			missing := ledger.Amount(ledger.MulDiv(uint64(w.Pool), short, max(w.Root.Units, short)))
			if stake := bond - missing; missing > 0 && left == stake-stake/10 {
				d.t.Logf("epoch %d: %d units were missing, worth %d nneuro", e, short, missing)
				return
			}
		}
		d.t.Errorf("epoch %d: %+v, holder %+v, friend %+v: the gate has %d", e, w, had, gift, left)
	}
	d.t.Errorf("the gate has %v, and no settlement of it was found short", left)
}
